package conformance_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"mpush/sdk/plugintest/conformance"
)

func TestDocumentHasTheChecks(t *testing.T) {
	text, err := os.ReadFile("../../../docs/plugins/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, c := range conformance.Checks() {
		fmt.Fprintf(&want, "| `%s` | %s |\n", c.Name, c.Shows)
	}
	_, table, _ := strings.Cut(string(text), "| check | what it shows when it passes |\n| --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if table+"\n" != want.String() {
		t.Errorf("docs/plugins/conformance.md has another table of the checks than\n%s", want.String())
	}
}
