"""A report as HTML."""

from __future__ import annotations

from html.parser import HTMLParser

from graphopt.pipeline import Record
from graphopt.report import Candidate, LeftOut, Report, Summary


def report() -> Report:
    return Report(
        version="1",
        source="<script>.onnx",
        target="portable",
        pipeline="dce",
        before=Summary(10, {"Conv": 10}, 1, 4000),
        after=Summary(4, {"Conv": 4}, 1, 4000),
        notes=["a & b"],
        records=[
            Record("dce", 6, {"dead node": 6}, {}, {}, 10, 4, 0.01),
            Record("cse", 0, {}, {"too <large>": 2}, {"too <large>": ["node<1>"]}, 4, 4, 0.01),
        ],
        left_out=[LeftOut("bad-pass", "changed the outputs")],
        candidates=[Candidate("original", 10), Candidate("-O2", 4), Candidate("-O1", 6, 1.25, True)],
    )


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_is_escaped_balanced_and_small() -> None:
    text = report()._repr_html_()
    parser = Balanced()
    parser.feed(text)
    assert not parser.open
    assert "<script>" not in text and "&lt;script&gt;.onnx" in text and "a &amp; b" in text
    assert len(text) < 5000


def test_it_says_what_the_terminal_says() -> None:
    text = report()._repr_html_()
    for said in (
        "nodes",
        "-60%",
        "6 dead node",
        "too &lt;large&gt;",
        "node&lt;1&gt;",
        "bad-pass",
        "1.25x",
        "chosen",
    ):
        assert said in text
