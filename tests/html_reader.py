"""An HTML file as tests look at it."""

from html.parser import HTMLParser

NEVER_CLOSED = frozenset({"meta", "link", "img", "br", "input", "path"})


class Reader(HTMLParser):
    """What a page refers to, its data blocks and its visible text; fails where tags do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.tags: list[str] = []
        self.cards: list[dict[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.targets += [given[name] or "" for name in ("src", "href") if name in given]
        if given.get("class") == "card":
            self.cards.append(given)
        if tag not in NEVER_CLOSED:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in NEVER_CLOSED:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["script"], ["style"]):
            self.text += data
