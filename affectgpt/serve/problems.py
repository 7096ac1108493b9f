"""What a server answers where it has no description: one table of kinds, one form.

The form is that of OpenAI's API: {"error": {"message": ..., "type": kind, "code": status}}.
"""

from __future__ import annotations

STATUS = {
    "bad_request": 400,  # an option that cannot be, or a part that is missing
    "unreadable": 422,  # a clip that cannot be read, or in which there is nothing to describe
    "unauthorized": 401, "forbidden": 403, "not_found": 404, "wrong_method": 405, "slow_upload": 408,
    "too_large": 413, "too_long": 413,
    "busy": 503, "stopping": 503, "too_late": 504, "failed": 500,
}
"""Kind -> HTTP status."""
COME_BACK_SECONDS = 2
"""`Retry-After` of a server that is busy."""


class Problem(Exception):
    """A request that gets no description, with its kind and what its sender can do."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind, self.message = kind, message

    @property
    def status(self) -> int:
        return STATUS[self.kind]

    def body(self) -> dict:
        """The JSON that is sent."""
        return {"error": {"message": self.message, "type": self.kind, "code": self.status}}

    def headers(self) -> dict[str, str]:
        """Of the response."""
        if self.kind in ("busy", "stopping"):
            return {"Retry-After": str(COME_BACK_SECONDS)}
        return {"WWW-Authenticate": "Bearer"} if self.kind == "unauthorized" else {}
