"""What must be in the database for every scan that was answered: all of it, once."""

import json
from collections.abc import Iterable
from uuid import UUID

from sqlmodel import select

from activities.actions import Action
from rewards.crediting import credit_reference
from rewards.ledger import Transfer
from tanpuhui.idempotency import StoredAnswer
from tests.faults.load import Answer
from tests.world import World


def faults(world: World, acknowledged: Iterable[Answer]) -> list[str]:
    """Lines on what is lost, half there or there twice; invariants included."""
    with world.house.db.reading_session() as session:
        actions = {row.id: row for row in session.exec(select(Action))}
        transfers = {row.reference: row for row in session.exec(select(Transfer))}
        stored = {(row.owner_id, row.key): row.answer for row in session.exec(select(StoredAnswer))}
    found = world.breaches()
    for answer in acknowledged:
        said = json.loads(answer.body)
        action = actions.get(UUID(said["action"]["id"]))
        transfer = transfers.get(credit_reference(UUID(said["action"]["id"])))
        kept = stored.get((answer.scan.member.id, answer.scan.key))
        if action is None or action.resident_id != answer.scan.member.id:
            found.append(f"lost: action of {answer.scan.key}")
        elif transfer is None or transfer.amount != said["points"]["posted"]:
            found.append(f"half: {answer.scan.key} has no transfer of {said['points']['posted']}")
        elif kept is None or kept.encode() != answer.body:
            found.append(f"answer: {answer.scan.key} was answered otherwise")
    answers = [json.loads(answer) for answer in stored.values()]
    kept_ids = {UUID(answer["action"]["id"]) for answer in answers if "action" in answer}
    found += [
        f"twice or half: action {action} has no answer of its own" for action in actions.keys() - kept_ids
    ]
    return found
