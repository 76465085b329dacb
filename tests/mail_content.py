"""Reads messages as CPython's email does: one JSON object a line with the inline texts and the attachments.

    mail_content.py FILE...
"""
import email
import email.policy
import hashlib
import json
import sys

for name in sys.argv[1:]:
    with open(name, "rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    texts, files = [], []
    for part in message.walk():
        if part.is_multipart():
            continue
        octets = part.get_payload(decode=True) or b""
        if part.get_content_type() in ("text/plain", "text/html"):
            try:
                text = octets.decode(part.get_content_charset("utf-8"), "replace")
            except LookupError:
                text = octets.decode("utf-8", "replace")
            texts.append(text)
        else:
            files.append(hashlib.sha256(octets).hexdigest())
    print(json.dumps({"file": name, "texts": texts, "files": files}))
