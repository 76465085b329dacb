"""Parses messages as CPython's email package does: one JSON object a line, with all leaves in document order.

    mail_content.py FILE...

Of each leaf: its type, the size and the SHA-256 of its octets, and, where it is text, the text. `exact` is false
where the octets are not of the charset that is stated. The fields of a report have no octets of their own here.
"""
import base64
import email
import email.policy
import hashlib
import json
import sys


def leaves_of(part):
    """Yields the parts that have content. CPython treats message/delivery-status and the like as messages."""
    is_message = part.get_content_type() in ("message/rfc822", "message/global")
    if part.is_multipart() and (is_message or part.get_content_maintype() != "message"):
        for below in part.get_payload():
            yield from leaves_of(below)
    else:
        yield part


for name in sys.argv[1:]:
    with open(name, "rb") as file:
        message = email.message_from_bytes(file.read(), policy=email.policy.compat32)
    leaves = []
    for part in leaves_of(message):
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
        leaves.append(leaf)
    print(json.dumps({"file": name, "leaves": leaves}))
