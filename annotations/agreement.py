"""How far two people who judged the same cases agree, beyond what chance would give. Pure."""

from dataclasses import dataclass

#: Fewer cases judged twice than this say little, and are shown without a coefficient.
ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Pairs:
    """Cases that two people judged independently, by what they said: both yes, one of them, both no."""

    both: int
    one: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.one + self.neither

    @property
    def observed(self) -> float:
        """The share in which they said the same; 0 where there are none."""
        return (self.both + self.neither) / self.n if self.n else 0.0

    @property
    def alpha(self) -> float | None:
        """Krippendorff's alpha, nominal, two readings a case: 1 full agreement, 0 chance.

        ``None`` where it is not defined, because everybody always said the same.
        """
        yes, no = 2 * self.both + self.one, 2 * self.neither + self.one
        if yes == 0 or no == 0:
            return None
        return 1.0 - (yes + no - 1) * self.one / (yes * no)
