"""Options given once for several inputs of different kinds."""

from dataclasses import dataclass, field, replace
from typing import Any

from ..models.inputs import InputOptions, refuse_unread


@dataclass(frozen=True)
class SharedOptions(InputOptions):
    """Options given once for several inputs: what one of them cannot read is meant for another.

    unread: what each input that was opened could not read.
    """

    unread: list[frozenset[str]] = field(default_factory=list)

    def check_read(self) -> None:
        """Raise TwodaslError for options that none of the inputs could read."""
        nowhere = sorted(frozenset.intersection(*self.unread)) if self.unread else []
        refuse_unread(self, tuple(nowhere), "any of these inputs")


def readable(options: InputOptions, unread: tuple[str, ...], what: str) -> InputOptions:
    """The options without those that reading `what` leaves unread; for a single input they are an error."""
    if isinstance(options, SharedOptions):
        options.unread.append(frozenset(unread))
        nothing: dict[str, Any] = dict.fromkeys(unread)
        return replace(options, **nothing)
    refuse_unread(options, unread, what)
    return options
