"""The methods the laboratory is accredited for: what each measures, in which unit, within which limits."""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import OutOfRange


@dataclass(frozen=True, slots=True)
class Method:
    """A measuring method. `low` and `high` are the limits, in `unit`, outside which a result can only be a mistake."""

    code: str
    title: str
    unit: str
    low: float
    high: float

    def check(self, result: float) -> None:
        """Accept `result` or raise OutOfRange."""
        if not self.low <= result <= self.high:
            raise OutOfRange(method=self.code, unit=self.unit, result=result, low=self.low, high=self.high)


METHODS = {
    method.code: method
    for method in (
        Method("ph", "pH, glass electrode", "pH", 0.0, 14.0),
        Method("conductivity", "Electrical conductivity at 25 °C", "µS/cm", 0.0, 200_000.0),
        Method("turbidity", "Turbidity, nephelometric", "NTU", 0.0, 4_000.0),
        Method("nitrate", "Nitrate, ion chromatography", "mg/L", 0.0, 1_000.0),
        Method("chloride", "Chloride, ion chromatography", "mg/L", 0.0, 25_000.0),
        Method("sulfate", "Sulfate, ion chromatography", "mg/L", 0.0, 10_000.0),
        Method("toc", "Total organic carbon, combustion", "mg/L", 0.0, 2_000.0),
        Method("iron", "Iron, ICP-OES", "mg/L", 0.0, 500.0),
        Method("lead", "Lead, ICP-MS", "µg/L", 0.0, 5_000.0),
        Method("arsenic", "Arsenic, ICP-MS", "µg/L", 0.0, 5_000.0),
        Method("benzene", "Benzene, headspace GC-MS", "µg/L", 0.0, 10_000.0),
    )
}
"""Every method by its code."""
