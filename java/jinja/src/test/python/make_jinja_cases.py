"""Renders small templates with transformers and stores what comes out.

    python make_jinja_cases.py DIRECTORY

DIRECTORY holds constructs.txt, one template a line, and random.txt, lines of a random generator as JSON strings; it gets
cases.json: the variables, and for each template the text, or that there is an error. Written with Jinja2 3.1.6 and
transformers 5.18.0 on Python 3.11. The clock stands still at 26 July 2024, 9:05:03.
"""

import copy
import datetime
import json
import pathlib
import sys

from transformers.utils import chat_template_utils


class StoppedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 9, 5, 3)


chat_template_utils.datetime = StoppedClock

VARIABLES = dict(
    i=7, z=0, n=-3, big=123456789012345678901234567890, nbig=-(2**70), f=2.5, g=-0.0, h=1e16, k=1e-7, t=True, w=False,
    no=None, s="hello World", e="", sp="  a b\t\n", u="é漢🎈ß", q="it's \"x\"\\", num="42", fl="3.75", hexs="0x1F",
    tag="<b>&</b>", multi="a\nb\n\nc", hy="well-known ab--c x", l=[3, 1, 2], le=[], ls=["b", "A", "a"],
    lm=[1, "a", None], ln=[[1, 2], [3, 4]], ld=[{"a": 1, "b": {"c": "x"}}, {"a": 2}], d={"a": 1, "k": [1, 2]}, de={},
    dd={"z": {"y": 1}, "a": None},
    messages=[
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"function": {"name": "f", "arguments": {"x": 1.0, "y": 12345678901234567890123}}}]},
    ],
    tools=[{"type": "function", "function": {"name": "get", "parameters": {
        "type": "object", "properties": {"é": {"type": ["string", "null"]}}}}}],
)


def case(template):
    variables = copy.deepcopy(VARIABLES)
    messages = variables.pop("messages")
    try:
        text = chat_template_utils.render_jinja_template(
            conversations=[messages], chat_template=template, **variables)[0][0]
        return {"template": template, "text": text}
    except Exception as e:
        return {"template": template, "error": type(e).__name__}


def main(root):
    templates = [line for line in (root / "constructs.txt").read_text().split("\n") if line]
    templates += [json.loads(line) for line in (root / "random.txt").read_text().split("\n") if line]
    cases = [case(t) for t in templates]
    out = ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases)
    variables = json.dumps(VARIABLES, ensure_ascii=False)
    (root / "cases.json").write_text('{"variables": ' + variables + ',\n"cases": [\n' + out + "\n]}\n")
    print(len(cases), "cases,", sum("error" in c for c in cases), "of them errors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
