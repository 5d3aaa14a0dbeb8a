"""Energy: meters, windows recorded on them, and price lists fitted to windows.

From outside, import the names listed here; ``testing`` holds the suite every meter must pass.
"""

from archon.energy.basis import Basis, basis_of, choose_basis
from archon.energy.combined import CombinedMeter, open_meter
from archon.energy.estimated import Coefficients, EstimatedMeter
from archon.energy.meter import Conditions, Domain, DomainKind, Meter, Method, Reading
from archon.energy.nvml import NvmlMeter
from archon.energy.price_fit import Load, ProgramLoad, fit_model_price, fit_program_price
from archon.energy.prices import Coef, Cost, ModelPrice, PriceList, ProgramPrice, share
from archon.energy.rapl import RaplMeter
from archon.energy.recorder import Pending, Recorder
from archon.energy.windows import DomainEnergy, Window
from archon.energy.zeus_meter import ZeusMeter

__all__ = [
    "Basis",
    "Coef",
    "Coefficients",
    "CombinedMeter",
    "Conditions",
    "Cost",
    "Domain",
    "DomainEnergy",
    "DomainKind",
    "EstimatedMeter",
    "Load",
    "Meter",
    "Method",
    "ModelPrice",
    "NvmlMeter",
    "Pending",
    "PriceList",
    "ProgramLoad",
    "ProgramPrice",
    "RaplMeter",
    "Reading",
    "Recorder",
    "Window",
    "ZeusMeter",
    "basis_of",
    "choose_basis",
    "fit_model_price",
    "fit_program_price",
    "open_meter",
    "share",
]
