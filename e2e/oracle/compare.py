"""Compares a course's source with what a system has stored and shows of it.

    python3 compare.py <folder or archive> < stored.json     prints {compared, differences} as JSON

stored.json is a list of parts in the order of the course: {key, parent, kind, type, title, audience, isShown, html,
staffHtml}: `kind` and `type` as the API calls them, `isShown` whether a learner's outline or page has it, `html` what the
learner's page shows of it, `staffHtml` what the authors' page does.
"""

import difflib
import json
import re
import sys

from olx_oracle import Course
from words import parse_html, pieces, words

NODES = {"course": "course", "chapter": "unit", "sequential": "module", "vertical": "lesson"}
MATERIALS = {"html": "text/html", "video": "video"}


def kind_of(part):
    """What a part of a course is called here (services/content/README.md)."""
    kind = part["kind"]
    if kind in NODES:
        return "assignment" if kind == "vertical" and part["is_assignment"] else NODES[kind]
    if kind == "problem":
        return "assessment" if part["graded"] else "exercise"
    return f"material {MATERIALS.get(kind, 'vendor/olx-' + kind)}"


def stored_kind(part):
    return f"material {part['type']}" if part["kind"] == "material" else part["kind"]


def shown_words(html):
    """The words of a rendered part."""

    def instead(element):
        text = "".join(element.itertext())
        # DOCUMENTED: the place of an answer is marked "[1] ______", and "[1]" stands over choices that follow their text.
        is_mark = element.get("data-field") and re.fullmatch(r"\[\d+\] _+", text)
        is_mark = is_mark or (element.tag == "p" and re.fullmatch(r"\[\d+\]", text))
        # DOCUMENTED: what a click opens in the source stands behind a line of ours (its title, or "Show").
        is_ours = element.tag == "summary"
        return [" "] if is_mark or is_ours else None

    tree = parse_html(html)
    return "" if tree is None else words(pieces(tree, instead))


def where_they_part(expected, got):
    """The first words that differ, with some of those around them."""
    theirs, ours = expected.split(), got.split()
    changes = difflib.SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes()
    _, a, b, c, d = next(change for change in changes if change[0] != "equal")
    return " ".join(theirs[max(0, a - 4) : b + 4][:40]), " ".join(ours[max(0, c - 4) : d + 4][:40])


class Comparison:
    def __init__(self, expected, stored):
        self.differences = []
        self.compared = {"parts": 0, "texts": 0, "words": 0}
        # DOCUMENTED: an item hangs at its lesson, also when the source has a container between them.
        lessons = {}
        for part in expected:
            above = lessons.get(part["parent"], part["parent"])
            part["parent"] = above
            if part["kind"] not in NODES:
                lessons[part["key"]] = above
        got = {part["key"]: part for part in stored}
        wanted = {part["key"]: part for part in expected}
        self.order([part["key"] for part in expected], [part["key"] for part in stored])
        for key in wanted.keys() & got.keys():
            self.part(key, wanted[key], got[key])
        self.differences.sort(key=lambda one: list(wanted).index(one["part"]) if one["part"] in wanted else -1)

    def differ(self, key, what, expected, got):
        if expected != got:
            self.differences.append({"part": key, "what": what, "expected": expected, "got": got})

    def order(self, expected, got):
        """Every part once, in the order of the source."""
        for key in dict.fromkeys(expected + got):
            self.differ(key, "times it is there", expected.count(key), got.count(key))
        known = [key for key in expected if key in set(got)]
        found = [key for key in got if key in set(expected)]
        moved = [pair for pair in zip(known, found) if pair[0] != pair[1]]
        for key, other in moved[:1]:
            self.differ(key, "the part in its place", key, other)

    def part(self, key, expected, got):
        self.compared["parts"] += 1
        self.differ(key, "kind", kind_of(expected), stored_kind(got))
        self.differ(key, "title", words([expected["title"]]), words([got["title"]]))
        self.differ(key, "parent", expected["parent"], got["parent"])
        self.differ(key, "audience", expected["audience"], got["audience"])
        self.differ(key, "shown to learners", expected["audience"] == "learner", got["isShown"])
        if "text" not in expected or not got["isShown"]:
            return
        text = shown_words(got["html"])
        self.compared["texts"] += 1
        self.compared["words"] += len(expected["text"].split())
        if text != expected["text"]:
            self.differ(key, "words", *where_they_part(expected["text"], text))
        # Authors see what learners see, and the answers below it.
        self.differ(key, "authors see it too", True, got["staffHtml"].startswith(got["html"]))


if __name__ == "__main__":
    comparison = Comparison(Course(sys.argv[1]).parts, json.load(sys.stdin))
    result = {"compared": comparison.compared, "differences": comparison.differences}
    json.dump(result, sys.stdout, ensure_ascii=False)
