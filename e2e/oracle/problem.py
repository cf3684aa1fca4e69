"""The words of a problem that a learner sees before answering it."""

import ast

from words import BLOCKS, UNSEEN

# What a learner gets after an answer, on request, or never.
UNSEEN_OF_PROBLEMS = frozenset(
    "solution solutionset demandhint hint hintgroup hintpart choicehint optionhint compoundhint correcthint booleanhint "
    "stringequalhint numericalhint additional_answer answer responseparam codeparam".split()
)
CHOICES = frozenset(("choice", "option"))
# Elements that stand on lines of their own in a problem.
LINES = frozenset("label description text title comment comment_prompt tag_prompt clarification".split())
# Elements that only group others.
GROUPS = frozenset("problem div section article main fieldset center header footer aside nav".split())


def dropdown(options):
    """The choices of an old dropdown: a list as Python writes it, or words between commas."""
    try:
        return [str(choice) for choice in ast.literal_eval(options)]
    except (ValueError, SyntaxError):
        return [choice.strip() for choice in options.strip().strip("()[]").split(",")]


def problem_text(problem):
    """The texts of a problem in order, blanks where a line, a choice or a field begins or ends."""
    texts = []
    walk(problem, texts, None)
    return texts


def walk(element, texts, later):
    """Adds the texts of an element to `texts`. `later`: where choices go while a sentence, a list or a table is read.

    DOCUMENTED: choices of a question that stands in a sentence, a list or a table follow it, in their order; where the
    answer goes stands a mark.
    """
    tag = element.tag.lower() if isinstance(element.tag, str) else ""
    if tag == "" or tag in UNSEEN or tag in UNSEEN_OF_PROBLEMS:
        return
    if tag in CHOICES:
        within(element, texts if later is None else later, None, " ")
        return
    is_asking = tag.endswith(("response", "input", "group")) or tag in ("options", "textline", "textbox", "schematic")
    if tag == "optioninput" and element.get("options"):
        (texts if later is None else later).extend(f" {choice} " for choice in dropdown(element.get("options")))
    begins = later is None and not is_asking and tag not in GROUPS
    waiting = [] if begins else later
    within(element, texts, waiting, " " if is_asking or tag in BLOCKS or tag in LINES else "")
    if begins:
        texts.extend(waiting)
    # Units and the like, which Open edX shows behind the field.
    if element.get("trailing_text"):
        texts.append(f" {element.get('trailing_text')} ")


def within(element, texts, later, gap):
    texts.append(gap)
    texts.append(element.text or "")
    for child in element:
        walk(child, texts, later)
        texts.append(child.tail or "")
    texts.append(gap)
