"""A person at the pages: signs in, reads, sends forms with the token that the page gave them."""

import re
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from tests.people import PASSWORD
from triage.db import User

HARMLESS = {"codes": "BEN"}
THREAT = {
    "codes": ["TTL", "DOX"],
    "speech_act": "threat",
    "target": "named_or_identifiable_person",
    "imminence": "near",
}


class Visit:
    """One person's browser, without the browser."""

    def __init__(self, client: TestClient, user: User) -> None:
        self.client = TestClient(client.app, follow_redirects=False)
        answer = self.client.post("/sign-in", data={"username": user.username, "password": PASSWORD})
        assert answer.status_code == 303
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/").text)
        assert found is not None
        self.token = found.group(1)

    def get(self, path: str) -> Response:
        return self.client.get(path)

    def post(self, path: str, **form: Any) -> Response:
        return self.client.post(path, data={"csrf_token": self.token} | form)

    def take_next(self) -> str:
        """Review next; the path of the case."""
        answer = self.post("/queue/next")
        assert answer.status_code == 303
        return answer.headers["location"]
