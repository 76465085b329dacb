"""Parses messages as CPython's email package does: one JSON object a line, with all leaves in document order.

    mail_content.py FILE...

Of each leaf: its type, the size and the SHA-256 of its octets, and, where it is text, the text. `exact` is false
where the octets are not of the charset that is stated. The fields of a report have no octets of their own here.
`shown` is the text of HTML that has no plain form in a multipart/alternative.
"""
import base64
import email
import email.policy
import hashlib
import html.parser
import json
import sys


def has_plain_text(part):
    return any(
        below.get_content_type() == "text/plain" and (below.get_payload(decode=True) or b"").strip()
        for below in part.walk()
    )


def leaves_of(part, has_plain_form=False):
    """Yields the parts that have content, and whether another alternative of them is plain text. CPython treats
    message/delivery-status and the like as messages."""
    is_message = part.get_content_type() in ("message/rfc822", "message/global")
    if part.is_multipart() and (is_message or part.get_content_maintype() != "message"):
        is_alternative = part.get_content_type() == "multipart/alternative"
        for below in part.get_payload():
            others = (other for other in part.get_payload() if other is not below)
            is_represented = is_alternative and any(has_plain_text(other) for other in others)
            yield from leaves_of(below, has_plain_form or is_represented)
    else:
        yield part, has_plain_form


class Words(html.parser.HTMLParser):
    """Collects the text of HTML, with a blank at each end of a block and a cell."""

    HIDDEN = "iframe noembed noframes script style template title".split()
    SEPARATE = """address article aside blockquote body br caption center dd details dialog dir div dl dt
        fieldset figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li
        listing main menu nav ol optgroup option p pre search section summary table tbody td textarea tfoot th
        thead tr ul xmp""".split()

    def __init__(self):
        super().__init__()
        self.hidden = 0
        self.pieces = []

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in self.HIDDEN
        self.pieces.append(" " * (tag in self.SEPARATE))

    def handle_endtag(self, tag):
        self.hidden = max(0, self.hidden - (tag in self.HIDDEN))
        self.pieces.append(" " * (tag in self.SEPARATE))

    def handle_data(self, text):
        self.pieces.append("" if self.hidden else text)


def shown(text):
    words = Words()
    words.feed(text)
    words.close()
    return "".join(words.pieces)


for name in sys.argv[1:]:
    with open(name, "rb") as file:
        message = email.message_from_bytes(file.read(), policy=email.policy.compat32)
    leaves = []
    for part, has_plain_form in leaves_of(message):
        if part.is_multipart():
            fields = "\n".join(below.as_string() for below in part.get_payload())
            leaves.append({"type": part.get_content_type(), "text": fields, "exact": True})
            continue
        octets = part.get_payload(decode=True) or b""
        digest = base64.b64encode(hashlib.sha256(octets).digest()).decode()
        leaf = {"type": part.get_content_type(), "size": len(octets), "sha256": digest}
        if leaf["type"] in ("text/plain", "text/html"):
            try:
                charset = str(part.get_content_charset("utf-8"))
                leaf["text"], leaf["exact"] = octets.decode(charset), True
            except (LookupError, ValueError):
                leaf["text"], leaf["exact"] = octets.decode("ascii", "replace"), False
            if leaf["type"] == "text/html" and leaf["exact"] and not has_plain_form:
                leaf["shown"] = shown(leaf["text"])
        leaves.append(leaf)
    print(json.dumps({"file": name, "leaves": leaves}))
