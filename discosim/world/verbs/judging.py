"""What a router can tell of a request before anybody has answered it."""

from __future__ import annotations

from discosim.core.errors import UserError
from discosim.world.session import Session


def strong_wins_score(session: Session, auc: float) -> float:
    """Return a score of "the server's model would be right and the device's wrong" whose error is an AUC of ``auc``.

    Raises
    ------
    UserError
        If the scenario does not say which models are right.
    """
    judge = session.setting.judge
    if judge is None:
        raise UserError("a router needs to know which models are right: `quality: {kind: joint, ...}`", where="quality")
    return judge.score(session.card.request_id, session.card.prompt_tok, auc)
