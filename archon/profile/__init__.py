"""A device profile: what models cost and do on one machine, with all that was measured kept.

Every figure (prices, percentiles, ``ipw`` and its interval) is computed from the measurements in
the file, so a reader who has it alone gets the same numbers.
"""

from archon.profile.figures import Figures, figures
from archon.profile.file import load_profile, save_profile, to_json
from archon.profile.record import Call, LoadProfile, ModelProfile, Profile, Run

__all__ = [
    "Call",
    "Figures",
    "LoadProfile",
    "ModelProfile",
    "Profile",
    "Run",
    "figures",
    "load_profile",
    "save_profile",
    "to_json",
]
