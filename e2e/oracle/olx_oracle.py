"""Reads an OLX course as Open edX reads it, and says what each part of it is.

    python3 olx_oracle.py <folder or archive>     prints the parts as JSON, in document order

A part is {key, kind, title, audience, parent, graded} and, for html and problems that learners may see, text.
It is written from how Open edX works (XmlMixin, InheritanceMixin, HtmlBlock, capa), and shares nothing with the importer
that it is there to check. It reads plain, present-day OLX; it is no importer.
"""

import json
import os
import sys
import tarfile

from lxml import etree

from problem import problem_text
from words import parse_html, pieces, words

CONTAINERS = ("course", "chapter", "sequential", "vertical", "library_content")
# Children of a course that are settings of it.
SETTINGS = ("wiki", "textbook", "pdf_textbook", "html_textbook", "grading_policy")
# What has a counterpart; every other block inside of a lesson is kept for authors, who alone can do something with it.
SHOWN = ("html", "problem", "video")


def read_files(path):
    """All files of a folder or archive, by their paths below the course.xml nearest to the top."""
    files = {}
    if os.path.isdir(path):
        for folder, _, names in os.walk(path):
            for name in names:
                full = os.path.join(folder, name)
                with open(full, "rb") as file:
                    files[os.path.relpath(full, path).replace(os.sep, "/")] = file.read()
    else:
        with tarfile.open(path) as archive:
            files = {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
    roots = [name for name in files if name.split("/")[-1] == "course.xml"]
    base = min(roots, key=lambda name: (name.count("/"), name))[: -len("course.xml")]
    return {name[len(base) :]: content for name, content in files.items() if name.startswith(base)}


def value_of(text):
    """Attributes hold JSON; what is none is a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def is_true(text):
    value = value_of(text)
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def text_value(text):
    value = value_of(text)
    return (value if isinstance(value, str) else text).strip()


def for_some_groups(text):
    groups = value_of(text)
    return isinstance(groups, dict) and any(groups.values())


def is_pointer(element):
    """An element with a name and nothing else stands for the file of that name."""
    names = {"url_name", "org", "course"} if element.tag == "course" else {"url_name"}
    is_empty = len(element) == 0 and not (element.text or "").strip()
    return is_empty and "url_name" in element.attrib and set(element.attrib) <= names


class Course:
    def __init__(self, path):
        self.files = read_files(path)
        self.parts = []
        root = self.xml("course.xml")
        self.policy = {}
        run = root.get("url_name")
        for name in (f"policies/{run}/policy.json", f"policies/{run}.json"):
            if name in self.files:
                self.policy = json.loads(self.files[name])
                break
        above = {"key": None, "is_hidden": False, "graded": False}
        self.read(root, root.get("url_name"), above)

    def xml(self, name):
        return etree.fromstring(self.files[name], etree.XMLParser(huge_tree=True, resolve_entities=False))

    def read(self, pointer, place, above):
        """Takes down a block and all below it. `above` says what it inherits."""
        name = pointer.get("url_name")
        kind = pointer.tag
        block = self.xml(f"{kind}/{name.replace(':', '/')}.xml") if is_pointer(pointer) else pointer
        key = f"{kind}/{name}" if name else place
        attributes = {**block.attrib}
        for field, value in self.policy.get(key, {}).items():
            attributes[field] = value if isinstance(value, str) else json.dumps(value)
        hides = is_true(attributes.get("visible_to_staff_only", "false"))
        is_hidden = above["is_hidden"] or hides or for_some_groups(attributes.get("group_access", "{}"))
        graded = is_true(attributes["graded"]) if "graded" in attributes else above["graded"]
        title = text_value(attributes.get("display_name", ""))
        if kind in CONTAINERS[:4]:
            title = title or (name or kind).replace("_", " ")
        is_for_learners = not is_hidden and (kind in CONTAINERS[:4] or kind in SHOWN)
        part = {"key": key, "kind": kind, "title": title, "parent": above["key"], "graded": graded}
        part["audience"] = "learner" if is_for_learners else "author"
        part["is_assignment"] = text_value(attributes.get("coursewright_kind", "")) == "assignment"
        self.parts.append(part)
        if is_for_learners and kind == "html":
            tree = parse_html(self.html_of(block))
            part["text"] = "" if tree is None else words(pieces(tree, embedded))
        if is_for_learners and kind == "problem":
            part["text"] = words(problem_text(block))
        if kind in CONTAINERS:
            within = {"key": key, "is_hidden": is_hidden, "graded": graded}
            children = [child for child in block if isinstance(child.tag, str)]
            for index, child in enumerate(children):
                if not (kind == "course" and child.tag in SETTINGS):
                    self.read(child, f"{key}/{child.tag}[{index}]", within)

    def html_of(self, block):
        """The HTML of an html block: the file that it names, or what stands inside it."""
        name = block.get("filename")
        if name:
            return self.files[f"html/{name}.html"].decode("utf-8")
        return (block.text or "") + "".join(etree.tostring(child, encoding="unicode") for child in block)


def embedded(element):
    """DOCUMENTED: what is embedded from elsewhere is a link here, with its name and address as its text. What an object holds
    for readers who do not see it stands below."""
    if element.tag not in ("iframe", "object", "embed"):
        return None
    address = element.get("src") or element.get("data") or ""
    name = element.get("title") or element.get("name")
    instead = [pieces(child, embedded) for child in element] if element.tag == "object" else []
    return [" ", f"{name}: {address}" if name else address, " ", *(text for texts in instead for text in texts)]


if __name__ == "__main__":
    json.dump(Course(sys.argv[1]).parts, sys.stdout, ensure_ascii=False, indent=1)
