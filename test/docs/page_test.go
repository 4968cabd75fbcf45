package docs

import (
	"testing"

	"mpush/test/shell"
)

func TestBlocksOfAPage(t *testing.T) {
	page := "# T\n```sh\na\n```\nIt prints:\n\n```\nb\n```\n<!-- test: c\nd -->\ntext\n1. x\n   <!-- terminal: up -->\n   ```sh\n   e\n   ```\n\nFile: `f.txt`\n\n```json\n{}\n```\n<!-- tutorial -->\n"
	got, err := blocks(page)
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{2, "sh", "a\n", "", ""}, {7, "", "b\n", "prints", ""}, {10, "sh", "c\nd\n", "test", ""},
		{15, "sh", "e\n", "terminal", "up"}, {21, "json", "{}\n", "file", "f.txt"},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("block %d is %+v, not %+v", i, got[i], want[i])
		}
	}
	for _, bad := range []string{"```sh\n", "<!-- whatever -->\n", "<!-- not run -->\n```\n```\n", "<!-- prints -->\ntext\n", "<!-- test: a\n"} {
		if _, err := blocks(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestMissingLines(t *testing.T) {
	for _, row := range []struct{ got, want, missing string }{
		{"a\nb\nc", "a\nc\n", ""},
		{"a\nb", "b\na\n", "a"},
		{`{"mid":"1234567890123","x":1}`, `{"mid":"1596543210123","x":1}`, ""},
		{`{"mid":"123","x":1}`, `{"mid":"1596543210123","x":1}`, `{"mid":"1596543210123","x":1}`},
		{"a   b", "a  b", ""},
		{"a b c", "a … c", ""},
	} {
		if got := shell.Missing(row.got, row.want, expression); got != row.missing {
			t.Errorf("%q in %q: %q", row.want, row.got, got)
		}
	}
}
