package docs

import (
	"encoding/json"
	"go/format"
	"net/url"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

var (
	address = regexp.MustCompile(`https?://127\.0\.0\.1:909[34][^\s'"]*`)
	object  = regexp.MustCompile(`'(\{[^']*\})'`)
)

// inspect checks what can be checked of a block without running it, and tells
// whether that is something.
func inspect(t *testing.T, page string, b block) bool {
	t.Helper()
	var err error
	switch b.lang {
	case "json":
		var value any
		err = json.Unmarshal([]byte(b.text), &value)
	case "yaml":
		var value any
		err = yaml.Unmarshal([]byte(b.text), &value)
	case "go":
		_, err = format.Source([]byte(b.text))
	case "js":
		if _, missing := exec.LookPath("node"); missing == nil {
			check := exec.CommandContext(t.Context(), "node", "--check", "--input-type=module", "-")
			check.Stdin = strings.NewReader(b.text)
			if output, failed := check.CombinedOutput(); failed != nil {
				t.Errorf("%s:%d: %s", page, b.line, output)
			}
		}
	case "sh":
		check := exec.CommandContext(t.Context(), "bash", "-n")
		check.Stdin = strings.NewReader(b.text)
		if output, failed := check.CombinedOutput(); failed != nil {
			t.Errorf("%s:%d: %s", page, b.line, output)
		}
	case "powershell":
		addresses := address.FindAllString(b.text, -1)
		if len(addresses) == 0 {
			t.Errorf("%s:%d: it sends to nobody", page, b.line)
		}
		for _, text := range addresses {
			u, broken := url.Parse(text)
			if broken != nil || u.Path != "/" && path.Ext(u.Path) != ".send" && path.Ext(u.Path) != ".group" && path.Ext(u.Path) != ".status" {
				t.Errorf("%s:%d: %s is no address of mpush (%v)", page, b.line, text, broken)
			}
		}
		for _, text := range object.FindAllStringSubmatch(b.text, -1) {
			if !json.Valid([]byte(text[1])) {
				t.Errorf("%s:%d: not JSON: %s", page, b.line, text[1])
			}
		}
	case "mermaid":
		kind, _, _ := strings.Cut(b.text, "\n")
		if kind != "sequenceDiagram" && !strings.HasPrefix(kind, "flowchart ") {
			t.Errorf("%s:%d: no diagram that is known: %s", page, b.line, kind)
		}
	default:
		return false
	}
	if err != nil {
		t.Errorf("%s:%d: %v", page, b.line, err)
	}
	return true
}
