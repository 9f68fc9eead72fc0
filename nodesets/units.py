"""Engineering units of the catalogue: symbol and UNECE Recommendation 20 common code.

OPC 10000-8, 5.6.3: the UnitId is the common code read as a big-endian integer, so ``RPM`` is 0x52504D = 5394509.
"""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE_URI = "http://www.opcfoundation.org/UA/units/un/cefact"


@dataclass(frozen=True, slots=True)
class Unit:
    symbol: str
    code: str
    description: str
    namespace: str = NAMESPACE_URI
    number: int = 0
    """In a namespace that does not go by common codes."""

    @property
    def unit_id(self) -> int:
        return self.number or int.from_bytes(self.code.encode("ascii"), "big")


ONE = Unit("", "C62", "one")
PERCENT = Unit("%", "P1", "percent")
METRE = Unit("m", "MTR", "metre")
MILLIMETRE = Unit("mm", "MMT", "millimetre")
MICROMETRE = Unit("µm", "4H", "micrometre (micron)")
AMPERE = Unit("A", "AMP", "ampere")
DEGREE = Unit("°", "DD", "degree [unit of angle]")
RPM = Unit("r/min", "RPM", "revolutions per minute")
MM_PER_MIN = Unit("mm/min", "H81", "millimetre per minute")
MM_PER_S = Unit("mm/s", "C16", "millimetre per second")
M_PER_S2 = Unit("m/s²", "MSK", "metre per second squared")
WATT = Unit("W", "WTT", "watt")
KILOWATT = Unit("kW", "KWT", "kilowatt")
KILOWATT_HOUR = Unit("kW·h", "KWH", "kilowatt hour")
WATT_HOUR = Unit("W·h", "WHR", "watt hour")
VOLT = Unit("V", "VLT", "volt")
VAR = Unit("var", "D44", "var")
KILOVAR = Unit("kvar", "KVR", "kilovar")
VAR_HOUR = Unit("var·h", "", "volt ampere reactive hour", "http://opcfoundation.org/UA/ECM/", 1)
"""UNECE has none: OPC 34100 has its own."""
KILOVAR_HOUR = Unit("kvar·h", "K3", "kilovolt ampere reactive hour")
NEWTON_METRE = Unit("N·m", "NU", "newton metre")
NEWTON = Unit("N", "NEW", "newton")
SECOND = Unit("s", "SEC", "second [unit of time]")
MINUTE = Unit("min", "MIN", "minute [unit of time]")
HOUR = Unit("h", "HUR", "hour")
DAY = Unit("d", "DAY", "day")
CELSIUS = Unit("°C", "CEL", "degree Celsius")
BAR = Unit("bar", "BAR", "bar [unit of pressure]")
LITRE_PER_MIN = Unit("l/min", "L2", "litre per minute")
