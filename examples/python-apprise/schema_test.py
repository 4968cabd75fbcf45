import unittest

import schema

RULES = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "clients": {"type": "array", "default": [], "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {"name": {"type": "string", "minLength": 1}, "loud": {"type": "boolean", "default": False}},
        }},
        "pause": {"type": "integer", "minimum": 100, "default": 3000},
    },
}


class Check(unittest.TestCase):
    def test_mistakes_have_their_path(self):
        section = {"clients": [{"name": "a"}, {"name": ""}, {"colour": "red"}, 7], "pause": 1, "paws": None}
        self.assertEqual(schema.check(RULES, section), [
            ("clients[1].name", "must not be empty"),
            ("clients[2].colour", "unknown key"),
            ("clients[2].name", "required"),
            ("clients[3]", "expected object, got integer"),
            ("pause", "expected at least 100"),
            ("paws", "unknown key"),
        ])
        self.assertEqual(schema.check(RULES, {"pause": True}), [("pause", "expected integer, got boolean")])
        self.assertEqual(schema.check(RULES, []), [("", "expected object, got array")])

    def test_defaults_are_filled_in(self):
        self.assertEqual(schema.with_defaults(RULES, {}), {"clients": [], "pause": 3000})
        filled = schema.with_defaults(RULES, {"clients": [{"name": "a"}], "pause": 200.0})
        self.assertEqual(filled, {"clients": [{"name": "a", "loud": False}], "pause": 200})


if __name__ == "__main__":
    unittest.main()
