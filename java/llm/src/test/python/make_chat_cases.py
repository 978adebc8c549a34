"""Renders the chat templates of src/test/resources/chat with transformers and stores what comes out.

    python make_chat_cases.py DIRECTORY

DIRECTORY holds NAME.jinja; it gets cases.json: for each template and conversation the text that
apply_chat_template gives, or the message of the exception it raises. The templates are our own, written in the manner
of the model families they are named after. The clock stands still at 26 July 2024.
"""

import datetime
import json
import pathlib
import sys

import jinja2
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils


class StoppedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 9, 5, 3)


chat_template_utils.datetime = StoppedClock

PLAIN = [{"role": "user", "content": " What is a lattice?\n"}]
SYSTEM = [
    {"role": "system", "content": "  Answer briefly. "},
    {"role": "user", "content": "Name the densest packing in 8 dimensions."},
    {"role": "assistant", "content": "E8. "},
    {"role": "user", "content": "And in 24? {{ 7 * 7 }} <b>&amp;</b> \"quoted\" 'too' é 漢 🎈"},
]
THINKING = [
    {"role": "user", "content": "2 + 2?"},
    {"role": "assistant", "content": "<think>\nTwo and two.\n</think>\n\nFour."},
    {"role": "user", "content": "3 + 3?"},
    {"role": "assistant", "content": "\n\nSix.", "reasoning_content": "\nThree and three.\n"},
]
TOOL = {
    "type": "function",
    "function": {
        "name": "packing_density",
        "description": "The density of a lattice's packing; \"E8\" or 'A2', é.",
        "parameters": {
            "type": "object",
            "properties": {
                "lattice": {"type": "string", "enum": ["E8", "A2"]},
                "digits": {"type": "integer", "minimum": 1},
                "limit": {"type": "number", "default": 0.5, "nullable": None, "exact": True},
            },
            "required": ["lattice"],
        },
    },
}
TOOLS = [
    {"role": "system", "content": "Use the tools."},
    {"role": "user", "content": "How dense is E8? And A2?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "abc123456", "type": "function",
             "function": {"name": "packing_density", "arguments": {"lattice": "E8", "digits": 3}}},
            {"id": "abc123457", "type": "function",
             "function": {"name": "packing_density", "arguments": {"lattice": "A2"}}},
        ],
    },
    {"role": "tool", "content": "0.254", "tool_call_id": "abc123456"},
    {"role": "tool", "content": "0.907", "tool_call_id": "abc123457"},
]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": " two"}]}]
WRONG = [{"role": "assistant", "content": "I begin."}, {"role": "user", "content": "You should not."}]

CONVERSATIONS = {
    "plain": dict(messages=PLAIN),
    "plain-open": dict(messages=PLAIN, add_generation_prompt=True),
    "system": dict(messages=SYSTEM, add_generation_prompt=True),
    "thinking": dict(messages=THINKING),
    "thinking-off": dict(messages=THINKING[:3], add_generation_prompt=True, enable_thinking=False),
    "tools": dict(messages=TOOLS, tools=[TOOL], add_generation_prompt=True),
    "parts": dict(messages=PARTS, add_generation_prompt=True),
    "wrong": dict(messages=WRONG),
}


def main(root):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1}, unk_token="<s>")),
        bos_token="<s>", eos_token="</s>",
    )
    cases = []
    for file in sorted(root.glob("*.jinja")):
        template = file.read_text()
        for name, conversation in CONVERSATIONS.items():
            arguments = dict(conversation)
            messages = arguments.pop("messages")
            case = {"template": file.stem, "conversation": name}
            try:
                case["expected"] = tokenizer.apply_chat_template(
                    messages, chat_template=template, tokenize=False, **arguments)
            except (jinja2.exceptions.TemplateError, TypeError) as e:
                # Ours says it in other words; what a template raises itself must come through.
                case["error"] = e.message if type(e) is jinja2.exceptions.TemplateError else ""
            cases.append(case)
    out = {"conversations": CONVERSATIONS, "cases": cases}
    (root / "cases.json").write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")
    print(len(cases), "cases,", sum("error" in c for c in cases), "of them errors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
