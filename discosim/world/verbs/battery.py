"""What a client can read off its device's battery before it asks for anything."""

from __future__ import annotations

import math

from discosim.world.session import Session


def battery_percent(session: Session) -> float:
    """Return the charge of the user's device now, as the device would show it, in [0, 100]; NaN without a battery."""
    charge = session.setting.fleet.device_of(session.user_id).charge
    return math.nan if charge is None else charge.left_percent(session.now_s)


def is_battery_low(session: Session) -> bool:
    """Tell whether the user's device would refuse now, because its battery is below its reserve."""
    charge = session.setting.fleet.device_of(session.user_id).charge
    return charge is not None and charge.is_low(session.now_s)


def can_take(session: Session, prompt_tok: float) -> bool:
    """Tell whether the user's device would take on a prompt of ``prompt_tok`` tokens now, at once or in its turn."""
    return session.profile.holds(prompt_tok) and not is_battery_low(session)
