// Package reference makes the tables of docs/config.md from what the program
// itself knows of its keys, so that they can not say anything else:
//
//	go test ./test/reference -update
package reference

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mpush/core/config"
	"mpush/core/schema"
	"mpush/test/ca"
	"mpush/test/harness"
)

var update = flag.Bool("update", false, "write the tables anew")

const page = "../../docs/config.md"

func TestMain(m *testing.M) { os.Exit(harness.MainPlain(m, "cmd/mpush")) }

// channels are the bundled ones.
func channels() []string { return []string{"http", "websocket", "webhook", "webpush"} }

// keysOf asks the program for the keys of a channel, as operators may, too. Those
// within a proxy have a section of their own in the page.
func keysOf(t *testing.T, channel string) []config.Key {
	t.Helper()
	result := harness.Run(t, harness.Dir(t), nil, "plugin", "describe", channel, "--json")
	var manual struct{ Schema json.RawMessage }
	if err := json.Unmarshal([]byte(result.Stdout), &manual); err != nil || result.Code != 0 {
		t.Fatalf("describe %s: exit %d, %v\n%s", channel, result.Code, err, result.Stderr)
	}
	compiled, err := schema.Compile(manual.Schema)
	if err != nil {
		t.Fatal(err)
	}
	keys := []config.Key{{Path: channel + ".enabled", Type: "true or false", Default: "true", Example: "false", Doc: "whether the channel runs"}}
	for _, k := range compiled.Keys() {
		if strings.Contains(k.Path, "proxy.") {
			continue
		}
		key := config.Key{Path: channel + "." + k.Path, Type: plain(k.Type), Unit: k.Unit, Default: k.Default, Floor: k.Floor, Example: k.Example, Doc: k.Description}
		if key.Floor == "" && k.Allowed != "" {
			key.Floor = k.Allowed + ", else an error"
		}
		if k.Required {
			key.Default = "required"
		}
		if k.Secret {
			key.Doc += " It is a secret: the log never has it."
		}
		if key.Example == "" && key.Type == "object" || k.Deprecated || strings.HasSuffix(k.Path, "clients") {
			key.Example = "-"
		}
		keys = append(keys, key)
	}
	return keys
}

// plain is a type without its articles.
func plain(text string) string {
	text = regexp.MustCompile(`\b(a|an) `).ReplaceAllString(text, "")
	return strings.NewReplacer("strings", "texts", "string", "text").Replace(text)
}

// table writes keys as Markdown.
func table(keys []config.Key) string {
	var b strings.Builder
	b.WriteString("| key | type | default | floor or range | example | |\n| --- | --- | --- | --- | --- | --- |\n")
	code := func(text string) string {
		switch text {
		case "":
			return "none"
		case "-":
			return "–"
		case "none", "required":
			return text
		}
		return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
	}
	for _, k := range keys {
		kind, floor := k.Type, k.Floor
		if k.Unit != "" {
			kind += ", " + k.Unit
		}
		if floor == "" {
			floor = "–"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", k.Path, kind, code(k.Default), floor, code(k.Example), strings.ReplaceAll(k.Doc, "|", `\|`))
	}
	return b.String()
}

// tables are the generated parts of the page, by name.
func tables(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"relay": table(config.Reference()), "plugins": table(config.EntryReference())}
	for _, channel := range channels() {
		all[channel] = table(keysOf(t, channel))
	}
	return all
}

// fill puts the tables between their marks.
func fill(text string, tables map[string]string) (string, error) {
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		begin, end := "<!--generated: "+name+"-->\n", "<!--end-->"
		before, rest, found := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			return "", errors.New("no mark for the table " + name)
		}
		text = before + begin + "\n" + tables[name] + "\n" + end + after
	}
	return text, nil
}

func TestTablesOfTheReferenceAreWhatTheProgramSays(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want, err := fill(string(text), tables(t))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		lines := strings.Split(string(text), "\n")
		for i, line := range strings.Split(want, "\n") {
			if i >= len(lines) || lines[i] != line {
				t.Fatalf("%s is not what the program says: go test ./test/reference -update\nline %d should be\n%s", page, i+1, line)
			}
		}
		t.Fatalf("%s is not what the program says: go test ./test/reference -update", page)
	}
}

// Every example of a bundled channel's key is one that the channel takes without
// a remark, and a value below the floor is raised to it with one.
func TestExamplesAndFloorsOfChannelsHold(t *testing.T) {
	for _, channel := range channels() {
		t.Run(channel, func(t *testing.T) {
			dir := harness.Dir(t)
			if err := os.Mkdir(filepath.Join(dir, "tls"), 0o700); err != nil {
				t.Fatal(err)
			}
			pair := ca.New(t).Issue(t, "localhost", time.Hour)
			for name, content := range map[string][]byte{"fullchain.pem": pair.Cert, "privkey.pem": pair.Key} {
				if err := os.WriteFile(filepath.Join(dir, "tls", name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, row := range sections(t, channel) {
				text := fmt.Sprintf(`{"token": "strong-enough-for-a-test", %q: %s}`, channel, row.section)
				if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				secret := "WH1_SECRET=whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
				result := harness.Run(t, dir, []string{secret}, "check")
				if result.Code != 0 || strings.Count(result.Stderr, "WARN") != len(row.says) {
					t.Errorf("%s: exit %d, %d remarks expected\n%s", row.section, result.Code, len(row.says), result.Stderr)
				}
				for _, says := range row.says {
					if !strings.Contains(result.Stderr, says) {
						t.Errorf("%s: want %q in\n%s", row.section, says, result.Stderr)
					}
				}
			}
		})
	}
}

type row struct {
	section string
	says    []string
}

// sections are what is asked about: all examples, all floors, and values below
// the floors.
func sections(t *testing.T, channel string) []row {
	t.Helper()
	var examples, client, files, floors, below []string
	var remarks []string
	for _, k := range keysOf(t, channel) {
		if k.Example == "-" || k.Path == channel+".enabled" {
			continue
		}
		if k.Example == "" {
			t.Errorf("%s has no example: add x-example to its jsonschema_extras", k.Path)
			continue
		}
		name := k.Path[strings.LastIndexByte(k.Path, '.')+1:]
		member := fmt.Sprintf("%q: %s", name, k.Example)
		switch {
		case strings.Contains(k.Path, "clients[]"):
			if name != "method" { // GET is not signed
				client = append(client, member)
			}
		case strings.Contains(k.Path, ".tls."):
			files = append(files, member)
		case name == "host": // another one than loopback is remarked upon beside a verifyToken of false
			examples = append(examples, `"host": "127.0.0.1"`)
		default:
			examples = append(examples, member)
		}
		var n int
		if _, err := fmt.Sscanf(k.Floor+" end", "%d end", &n); err == nil {
			floors = append(floors, fmt.Sprintf("%q: %d", name, n))
			below = append(below, fmt.Sprintf("%q: %d", name, n-1))
			remarks = append(remarks, fmt.Sprintf("key=%s.%s what=\"%d ms is too short, %d ms is used\"", channel, name, n-1, n))
		}
	}
	if client != nil {
		examples = append(examples, `"clients": [{`+strings.Join(client, ", ")+`}, {"name": "b", "url": "http://127.0.0.1/", "method": "GET"}]`)
	}
	if files != nil {
		examples = append(examples, `"tls": {`+strings.Join(files, ", ")+`}`)
	}
	object := func(members []string) string { return "{" + strings.Join(members, ", ") + "}" }
	rows := []row{{section: object(examples)}, {section: object(floors)}, {object(below), remarks}}
	if channel == "webpush" { // with a push service of one's own the floor is another
		rows = append(rows, row{`{"allowEndpoints": ["https://push.lan:8443"], "retryTimeout": 100}`, nil})
	}
	return rows
}
