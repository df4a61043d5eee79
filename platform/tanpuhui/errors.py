"""The whole error tree. Each error has a stable code, an HTTP status and a sentence for people.

    TanpuhuiError
    ├── InvalidInput (400/422)     the request cannot be understood: InvalidField, UnknownKind, ...
    ├── NotAuthenticated (401)     nobody is logged in, or the token is not known
    ├── NotAllowed (403)           logged in, but not for this
    ├── NotFound (404)             no such thing, or none that you may see
    ├── Conflict (409)             true in itself, but not with what is already recorded
    ├── Refused (409/410/422)      a scan that cannot be credited, with the reason a resident understands
    ├── TooMany (429)              slow down; says when to come back
    └── Unavailable (503)          only time can mend it; the same request may be sent again

The web layer turns them into problem+json or a page, in the user's language. Texts are Chinese sources.
"""

from typing import Any

from tanpuhui.i18n import N_


class TanpuhuiError(Exception):
    """Something unexpected went wrong. Base of every error; `params` fill the sentence."""

    code = "internal_error"
    status = 500
    text = N_("系统出了点问题，您的记录没有丢失，请稍后再试。")

    def __init__(self, **params: Any) -> None:
        super().__init__(self.code)
        self.params = params

    def __str__(self) -> str:
        return f"{self.code}: {self.text % self.params if self.params else self.text}"


# --- input -------------------------------------------------------------------------------------------------


class InvalidInput(TanpuhuiError):
    """The request cannot be understood."""

    code, status, text = "invalid_request", 400, N_("请求的格式不正确。")


class InvalidField(InvalidInput):
    """Some fields are missing, unknown or out of shape; `errors` lists each with its reason."""

    code, status, text = "invalid_fields", 422, N_("有内容填写不正确，请检查后再提交。")


class InvalidReference(InvalidInput):
    """Reference files hold bad rows; `errors` lists file, line, column and reason."""

    code, status, text = "invalid_reference", 422, N_("参考数据有误，未载入任何内容。")


class MissingIdempotencyKey(InvalidInput):
    """A scan without its key cannot be repeated safely."""

    code, status, text = "idempotency_key_missing", 400, N_("请求缺少 Idempotency-Key。")


class InvalidIdempotencyKey(InvalidInput):
    """Not 1 to 128 printable characters."""

    code, status, text = "idempotency_key_invalid", 400, N_("Idempotency-Key 应为 1 到 128 个可见字符。")


class Unprintable(InvalidInput):
    """A poster would show an empty box, or cannot hold its words: the font lacks `characters`."""

    code, status, text = "unprintable", 422, N_("海报上印不出或放不下这些字：%(characters)s。")


class TooLarge(InvalidInput):
    """The body is larger than any honest request."""

    code, status, text = "body_too_large", 413, N_("提交的内容太大。")


class UnsupportedMedia(InvalidInput):
    """Not JSON where JSON is asked for."""

    code, status, text = "unsupported_media_type", 415, N_("请以 JSON 提交。")


class MethodNotAllowed(InvalidInput):
    """The address exists but not for this method."""

    code, status, text = "method_not_allowed", 405, N_("此地址不支持这种操作。")


# --- who ---------------------------------------------------------------------------------------------------


class NotAuthenticated(TanpuhuiError):
    """Nobody is logged in, or the token is not known."""

    code, status, text = "not_authenticated", 401, N_("请先登录。")


class WrongLogin(NotAuthenticated):
    """Name or password wrong; never says which."""

    code, text = "wrong_login", N_("用户名或密码不正确。")


class WrongLoginCode(NotAuthenticated):
    """The one-time code is wrong, used or expired; never says which."""

    code, text = "wrong_login_code", N_("验证码不正确或已过期，请重新获取。")


class NotAllowed(TanpuhuiError):
    """Logged in, but without the role or outside the scope."""

    code, status, text = "not_allowed", 403, N_("您没有权限进行此操作。")


class FormExpired(NotAllowed):
    """The form's protection token is missing or too old."""

    code, status, text = "form_expired", 400, N_("页面已过期，请返回后重新提交。")


class NotFound(TanpuhuiError):
    """No such thing, or none that you may see."""

    code, status, text = "not_found", 404, N_("没有找到您要的内容。")


# --- conflicts ---------------------------------------------------------------------------------------------


class Conflict(TanpuhuiError):
    """True in itself, but not with what is already recorded."""

    code, status, text = "conflict", 409, N_("与已有记录冲突。")


class KeyReused(Conflict):
    """The same idempotency key came with another body."""

    code, text = "idempotency_key_reused", N_("同一个 Idempotency-Key 已用于另一个请求。")


class AlreadyVoided(Conflict):
    """The action was voided before."""

    code, text = "already_voided", N_("这条记录已经撤销。")


class AlreadyRevoked(Conflict):
    """The code to be replaced was withdrawn before."""

    code, text = "already_revoked", N_("这张码已经停用，请刷新页面查看新码。")


class InsufficientPoints(Conflict):
    """A transfer would take an account below zero."""

    code, text = "insufficient_points", N_("积分不足。")


class PointsSpent(InsufficientPoints):
    """The points of an action to be voided have been spent already."""

    code, text = "points_spent", N_("这条记录的积分已被使用，暂时无法撤销。")


# --- refusals: a scan that cannot be credited -------------------------------------------------------------


class Refused(TanpuhuiError):
    """A scan that cannot be credited. `next_step` says what the resident can do."""

    code, status, text = "refused", 422, N_("这次扫码未能记录。")
    next_step = N_("如有疑问，请联系现场工作人员。")


class CodeInvalid(Refused):
    """Not one of our codes: forged, damaged or foreign."""

    code, status, text = "code_invalid", 404, N_("这不是有效的碳普惠码。")
    next_step = N_("请重新扫描现场张贴的二维码，或手动输入码下方的短码。")


class CodeIncomplete(CodeInvalid):
    """Too short, too long, or with characters that no code has: read or typed only in part."""

    code, status, text = "code_incomplete", 422, N_("码不完整，可能漏扫或少输了几位。")
    next_step = N_("请重新扫描，或核对海报上二维码下方的短码（24 位）。")


class CodeVersionUnknown(CodeInvalid):
    """Printed by a version of the platform that this one no longer, or not yet, reads."""

    code, status, text = "code_version_unknown", 410, N_("这张码的版本已停用。")
    next_step = N_("请告知现场工作人员更换新海报。")


class CodeRevoked(Refused):
    """The code was withdrawn."""

    code, status, text = "code_revoked", 410, N_("这张码已停用。")
    next_step = N_("请扫描现场的新海报，或告知工作人员。")


class CodeNotYetValid(Refused):
    """The stated time is before the code existed or became valid."""

    code, text = "before_code", N_("填写的时间早于这张码启用的时间。")
    next_step = N_("请核对时间后再试。")


class CodeExpired(Refused):
    """The code was good for a time that has passed."""

    code, status, text = "code_expired", 410, N_("这张码已过有效期。")
    next_step = N_("请扫描现场正在使用的码。")


class SiteClosed(Refused):
    """The site is closed for good or for now."""

    code, text = "site_closed", N_("该点位目前未开放。")
    next_step = N_("请换一个点位，或在开放时间再来。")


class UnknownKind(Refused):
    """No such kind of action."""

    code, text = "unknown_kind", N_("没有这种绿色行为。")
    next_step = N_("请从页面列出的行为中选择。")


class KindNotHere(Refused):
    """This site does not credit this kind of action."""

    code, text = "kind_not_at_site", N_("这个点位不记录这种行为。")
    next_step = N_("请从页面列出的行为中选择。")


class KindRequired(Refused):
    """The site credits several kinds: one must be named. `kinds` lists them."""

    code, text = "kind_required", N_("请选择要记录的行为。")
    next_step = N_("请从页面列出的行为中选择。")


class KindDisabled(Refused):
    """The district does not credit this kind at present."""

    code, text = "kind_disabled", N_("这种行为目前不参与记录。")
    next_step = N_("请查看其他可以记录的行为。")


class EvidenceTooWeak(Refused):
    """The kind asks for stronger evidence than this code gives."""

    code, text = "evidence_too_weak", N_("这种行为需要工作人员现场确认。")
    next_step = N_("请扫描工作人员现场出示的码。")


class QuantityMissing(Refused):
    """The kind asks for a quantity and none was given."""

    code, text = "quantity_missing", N_("请填写数量（%(unit)s）。")
    next_step = N_("填写后再次提交即可。")


class QuantityNotANumber(Refused):
    """NaN, infinite, or no number."""

    code, text = "quantity_not_a_number", N_("数量不是有效的数字。")
    next_step = N_("请填写数字，例如 2.5。")


class QuantityNotPositive(Refused):
    """Zero or below."""

    code, text = "quantity_not_positive", N_("数量应大于 0。")
    next_step = N_("请核对后重新填写。")


class QuantityTooPrecise(Refused):
    """More decimals or digits than can be recorded exactly."""

    code, text = "quantity_too_precise", N_("数量最多九位整数、三位小数。")
    next_step = N_("请四舍五入后再试。")


class QuantityOutOfRange(Refused):
    """Outside the bounds published with the kind."""

    code, text = "quantity_out_of_range", N_("数量应在 %(minimum)s 到 %(maximum)s %(unit)s之间。")
    next_step = N_("请核对后重新填写。")


class TimeInFuture(Refused):
    """`occurred_at` lies in the future."""

    code, text = "occurred_in_future", N_("填写的时间在未来。")
    next_step = N_("请核对手机时间后再试。")


class TimeTooOld(Refused):
    """`occurred_at` lies further back than late records are taken."""

    code, text = "occurred_too_long_ago", N_("填写的时间过早，补记只接受 %(hours)s 小时以内的行为。")
    next_step = N_("较早的行为无法补记。")


class DailyLimitReached(Refused):
    """The day's number of records, or its quantity, is used up."""

    code, status, text = "daily_limit_reached", 409, N_("今天的“%(kind)s”记录次数已用完。")
    next_step = N_("明天再来吧，今天的努力已经记下了。")


class DailyQuantityReached(Refused):
    """This record would take the day's quantity over its bound."""

    code, status, text = (
        "daily_quantity_reached",
        409,
        N_("今天“%(kind)s”最多还可记录 %(left)s %(unit)s。"),
    )
    next_step = N_("请减少数量，或明天再来。")


class TooSoon(Refused):
    """The smallest interval since the last record of this kind has not passed."""

    code, status, text = "too_soon", 409, N_("距离上一次“%(kind)s”记录时间太近，请 %(minutes)s 分钟后再试。")
    next_step = N_("稍后再扫一次即可。")


class Clash(Refused):
    """The same deed was credited in another way already."""

    code, status, text = "same_deed", 409, N_("这次行为已作为“%(kind)s”记录过。")
    next_step = N_("同一次行为只记录一次。")


class NoFactor(Refused):
    """No factor version is valid on that day, so nothing could be computed."""

    code, status, text = "no_factor", 409, N_("这种行为暂无可用的减排因子。")
    next_step = N_("我们会尽快补充，请稍后再试。")


class ResidentInactive(Refused):
    """The account was closed."""

    code, status, text = "resident_inactive", 403, N_("该账户已停用。")
    next_step = N_("请联系社区工作人员。")


# --- load and outages --------------------------------------------------------------------------------------


class TooMany(TanpuhuiError):
    """Too many requests; `retry_after` in seconds."""

    code, status, text = "too_many_requests", 429, N_("操作太频繁，请 %(retry_after)s 秒后再试。")


class TooManyCodes(TooMany):
    """Too many one-time codes for one number or address."""

    code, text = "too_many_codes", N_("验证码请求太频繁，请 %(retry_after)s 秒后再试。")


class Unavailable(TanpuhuiError):
    """Only time can mend it; the same request, with its key, may be sent again and is never done twice."""

    code, status, text = "unavailable", 503, N_("系统暂时繁忙，请稍后重试；重复提交不会重复记录。")


class SmsFailed(Unavailable):
    """The gateway did not take the message."""

    code, text = "sms_failed", N_("短信暂时发送失败，请稍后重试。")


class ConfigurationError(TanpuhuiError):
    """The process must not start like this; `problems` lists every reason."""

    code = "configuration"
    text = N_("配置有误：%(problems)s")


def all_errors() -> list[type[TanpuhuiError]]:
    """Every error class, for the documentation and the tests that keep codes unique."""
    found: list[type[TanpuhuiError]] = []
    waiting: list[type[TanpuhuiError]] = [TanpuhuiError]
    while waiting:
        error = waiting.pop()
        found.append(error)
        waiting.extend(error.__subclasses__())
    return sorted(found, key=lambda error: error.code)
