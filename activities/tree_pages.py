"""The residents' pages of planted trees: registering a planting, its certificate on screen and paper."""

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _, ngettext
from werkzeug.wrappers import Response as AnyResponse

from activities import pages, plantings
from activities.certificate_pages import certificate_answer
from activities.scans import preview
from activities.sites import Site
from activities.trees import Grove
from tanpuhui import clock
from tanpuhui.errors import KeyReused
from tanpuhui.web.auth import house, resident, resident_required, staff, visitor
from tanpuhui.web.formatting import day as day_name
from tanpuhui.web.forms import form_errors

if TYPE_CHECKING:
    from tanpuhui.certificates import Certificate

blueprint = Blueprint("trees", __name__)

Answer = str | AnyResponse | tuple[str, int]


@blueprint.app_template_global()
def own_groves() -> list[tuple[Grove, Site, bool]]:
    """What the logged-in resident planted, where, and whether a check is due."""
    with house().db.reading() as connection:
        found = plantings.own_groves(connection, resident().id)
    return [(grove, site, grove.next_check_on <= clock.today()) for grove, site in found]


@blueprint.app_template_global()
def plantings_at(site_id: UUID) -> list[Grove]:
    """What was planted at a site that the logged-in member of staff manages."""
    return plantings.groves_for_staff(house(), staff(), site_id)


@blueprint.post("/s/<token>/plant")
def plant(token: str) -> Answer:
    """Register trees planted today and show the certificate. The same key again leads to the same one."""
    typed: dict[str, Any] = {
        name: request.form.get(name, "").strip() or None for name in ("key", "kind", "trees")
    }
    key = typed["key"] or ""
    who = visitor()
    if who is None:
        return redirect(url_for("pages.login", next=url_for("activities.scan", token=token, **typed)), 303)
    try:
        answer = plantings.plant(
            house(), who.id, key=key, code=token, trees=typed["trees"], kind=typed["kind"]
        )
    except KeyReused:
        return redirect(url_for("activities.scan", token=token, key=key), 303)
    except pages.IN_THE_FIELD as refusal:
        page = pages.scan_page(
            token, key, preview(house(), token, who.id), typed, form_errors(refusal, "trees")
        )
        return page, refusal.status
    return redirect(url_for("trees.certificate", planting_id=json.loads(answer.body)["planting"]["id"]), 303)


@blueprint.get("/me/plantings/<uuid:planting_id>")
@resident_required
def certificate(planting_id: UUID) -> Answer:
    """The certificate of one of the resident's own plantings, and how its trees are doing."""
    grove, site = _own(planting_id)
    return render_template("activities/certificate.html", grove=grove, site=site, today=clock.today())


@blueprint.get("/me/plantings/<uuid:planting_id>/certificate.pdf")
@resident_required
def certificate_pdf(planting_id: UUID) -> Answer:
    """The certificate to print."""
    words = _words(*_own(planting_id))
    return certificate_answer(words, words.facts[-1][1])


def _own(planting_id: UUID) -> tuple[Grove, Site]:
    with house().db.reading() as connection:
        return plantings.own_grove(connection, resident().id, planting_id)


def _words(grove: Grove, site: Site) -> "Certificate":
    from tanpuhui.certificates import Certificate

    planting = grove.planting
    return Certificate(
        title=_("植树证书"),
        headline=ngettext("种下 %(num)s 棵树", "种下 %(num)s 棵树", planting.trees),
        facts=(
            (_("植树点"), site.name),
            (_("种下日期"), day_name(planting.planted_on)),
            (_("第一次成活检查"), _("%(day)s 起", day=day_name(grove.first_check_on))),
            (_("证书编号"), planting.number),
        ),
        text=_("此后每年由工作人员在现场检查一次，按成活的棵数估算一年的减排量，并记碳积分。"),
        footer=_("本证书证明树已种下，由现场工作人员确认。种下当天不计减排量，也没有积分；减排量只是估算。"),
        issuer=_("碳普惠"),
    )
