"""People and partners of the scripted day: they come in by the same pages and addresses as everybody else."""

import http.client
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from triage.domain.errors import Unavailable

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)
_ERROR = re.compile(r'<a href="#[^"]*">([^<]+)</a>')
_SECONDS = 30
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, where to go on, the page, and the cookie that was set."""

    status: int
    location: str
    text: str
    cookie: str


def ask(home: str, method: str, path: str, *, body: str = "", headers: dict[str, str] | None = None) -> Answer:
    """One request. Raises Unavailable when nobody answers."""
    connection = http.client.HTTPConnection(urlsplit(home).netloc, timeout=_SECONDS)
    try:
        connection.request(method, path, body=body.encode(), headers=headers or {})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{home} does not answer ({type(error).__name__})") from None
    finally:
        connection.close()
    cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
    return Answer(answer.status, answer.headers.get("Location", ""), text, cookie)


@dataclass(slots=True)
class Person:
    """Somebody at a browser, without the browser: signs in, reads pages, sends their forms."""

    name: str
    home: str
    _cookie: str = ""
    _token: str = ""

    def sign_in(self, username: str, password: str) -> None:
        """Raises Unavailable: the page did not let them in."""
        form = urlencode({"username": username, "password": password})
        answer = ask(self.home, "POST", "/sign-in", body=form, headers=_FORM)
        self._cookie = answer.cookie
        if answer.status != 303 or not self._cookie:
            raise Unavailable(f"{self.name} could not sign in (status {answer.status})")
        found = _TOKEN.search(self.reads("/"))
        self._token = found.group(1) if found else ""

    def reads(self, path: str) -> str:
        """The page at ``path``. Raises Unavailable with the page's own words when it is refused."""
        answer = ask(self.home, "GET", path, headers={"Cookie": self._cookie})
        return self._expected(answer, path, 200).text

    def sends(self, path: str, **form: Any) -> str:
        """Send a form; where the answer leads. Raises Unavailable with the page's own words when it is refused."""
        headers = {"Cookie": self._cookie} | _FORM
        body = urlencode({"csrf_token": self._token} | form, doseq=True)
        answer = ask(self.home, "POST", path, body=body, headers=headers)
        return self._expected(answer, path, 303).location

    def _expected(self, answer: Answer, path: str, status: int) -> Answer:
        if answer.status != status:
            words = [re.sub(r"<[^>]+>|\s+", " ", each).strip() for each in _HEADING.findall(answer.text)]
            words += _ERROR.findall(answer.text)
            raise Unavailable(f"{self.name} at {path.split('?')[0]}: status {answer.status}: {'; '.join(words)}")
        return answer


@dataclass(slots=True)
class Sender:
    """A partner with its key."""

    name: str
    home: str
    key: str
    cases: list[str] = field(default_factory=list)

    def reports(self, report: dict[str, Any]) -> tuple[str, int]:
        """Send one report; id and number of its case. Raises Unavailable: it was refused."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        answer = ask(self.home, "POST", "/api/v1/reports", body=json.dumps(report), headers=headers)
        if answer.status != 202:
            raise Unavailable(f"{self.name}'s report was refused (status {answer.status})")
        accepted = json.loads(answer.text)
        self.cases.append(accepted["case_id"])
        return accepted["case_id"], accepted["case_number"]

    def gets(self, path: str) -> Any:
        """A JSON answer. Raises Unavailable: it was refused."""
        answer = ask(self.home, "GET", path, headers={"Authorization": f"Bearer {self.key}"})
        if answer.status != 200:
            raise Unavailable(f"{self.name} at {path}: status {answer.status}")
        return json.loads(answer.text)
