"""The trial's endpoints (outcome measures): definitions from the protocol, figures from the trial
database under two clocks, every figure with its inputs.

Importing this costs no SciPy: figures are computed in the statistics process. HTTP addresses are
in `routes`.
"""

from app.endpoints.measures import MeasureOperations
from app.endpoints.process import StatisticsProcess
from app.endpoints.public import Release
from app.endpoints.shell import Endpoints, Query

__all__ = ["Endpoints", "MeasureOperations", "Query", "Release", "StatisticsProcess"]
