#!/usr/bin/python3
"""An mpush channel that hands messages to the services that Apprise knows."""

import logging
import re

import apprise

import mpush_plugin as mpush

RETRY_MAX_MS = 300_000

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "clients": {
            "type": "array",
            "default": [],
            "description": "the receivers",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "urls"],
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 256, "description": "what senders send to; each client needs its own"},
                    "group": {"type": "string", "default": "", "maxLength": 256, "description": "a group that it is a member of"},
                    "urls": {
                        "type": "array",
                        "minItems": 1,
                        "writeOnly": True,
                        "description": "services in Apprise's notation; each of them gets each message",
                        "items": {"type": "string", "minLength": 1, "writeOnly": True},
                    },
                },
            },
        },
        "workers": {"type": "integer", "minimum": 1, "maximum": 256, "default": 16, "description": "how many receivers are served at once"},
        "retryTimeout": {"type": "integer", "minimum": 100, "maximum": RETRY_MAX_MS, "default": 3000, "description": "the pause after a failed attempt, in milliseconds; it doubles up to 5 minutes"},
    },
}


class Client:
    """A receiver and its services."""

    def __init__(self, config):
        self.name, self.group = config["name"], config["group"]
        self.services = [Service(url) for url in config["urls"]]
        # Which services have the message that is being delivered, so that a
        # second attempt leaves them out; it is forgotten with the process.
        self.mid, self.have_it = 0, set()


class Service:
    """One service, in an Apprise of its own so that its result can be told."""

    def __init__(self, url):
        self.scheme = url.partition(":")[0][:32]
        self.apprise = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False))
        self.known = self.apprise.add(url)


class AppriseChannel(mpush.Channel):
    """A channel with one route for each configured client."""

    def describe(self):
        return {
            "name": "apprise",
            "version": "1.0.0",
            "description": "Hands messages to the services that Apprise knows. A service having them is not somebody having read them.",
            "roles": [2],
            "statuses": [
                {"word": "NAME-wait", "meaning": "being handed over, or waiting to be tried again"},
                {"word": "NAME-ok", "meaning": "all services of the receiver have taken it"},
            ],
            "schema": SCHEMA,
        }

    def configure(self, section, channel):
        self.section, self.workers = section, section["workers"]
        logger, found, taken = logging.getLogger("apprise"), [], {}
        logger.disabled = True  # it would quote a url that it does not understand
        try:
            clients = [Client(c) for c in section["clients"]]
        finally:
            logger.disabled = False
        for i, client in enumerate(clients):
            if client.name in taken:
                found.append(mpush.error(f"clients[{i}].name", f'"{client.name}" is taken by clients[{taken[client.name]}]'))
            taken.setdefault(client.name, i)
            for j, service in enumerate(client.services):
                if not service.known:
                    found.append(mpush.error(f"clients[{i}].urls[{j}]", "Apprise knows no such service, or the url lacks a part that the service needs"))
        self.clients = {client.name: client for client in clients}
        return found

    def declare(self, host):
        hide_secrets(url for c in self.section["clients"] for url in c["urls"])
        policy = mpush.pb.Policy(retry_ms=self.section["retryTimeout"], retry_max_ms=RETRY_MAX_MS)
        return [mpush.pb.DeclaredRoute(receiver=c.name, group=c.group, policy=policy) for c in self.clients.values()]

    def deliver(self, delivery):
        message, client = delivery.message, self.clients.get(delivery.receiver)
        if client is None:
            return mpush.gone("it is configured no more")
        # Without a description the text is the body: services demand one.
        title, body = (message.text, message.desp) if message.desp.strip() else ("", message.text)
        if not body.strip():
            return mpush.rejected("services take no empty message")
        if client.mid != message.mid:
            client.mid, client.have_it = message.mid, set()
        for i, service in enumerate(client.services):
            if i in client.have_it:
                continue
            if delivery.cancelled.is_set():
                return mpush.retry("stopped")
            if service.apprise.notify(body=body, title=title):
                client.have_it.add(i)
        if len(client.have_it) == len(client.services):
            return mpush.handed_off()
        failed = [s.scheme for i, s in enumerate(client.services) if i not in client.have_it]
        return mpush.retry("not taken by " + ", ".join(failed) + "; the log may say why")


def hide_secrets(urls):
    """Lets Apprise log no more than warnings, and nothing that looks like a part
    of a url."""
    parts = {part for url in urls for part in re.split(r"[/:@?&=,]+", url) if len(part) >= 8}
    secrets = re.compile("|".join(map(re.escape, sorted(parts, key=len, reverse=True))) or r"(?!)")

    def redact(record):
        record.msg, record.args = secrets.sub("…", record.getMessage()), ()
        return True

    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.addFilter(redact)


if __name__ == "__main__":
    mpush.serve(AppriseChannel())
