package docs

import (
	"strings"
	"testing"
)

// readmeMarks are the marks of README.md, by the first lines of its blocks: that
// page is read as text, too, where comments would be in the way. Several lines of
// a value are several marks.
func readmeMarks() map[string]string {
	return map[string]string{
		"go run ./cmd/mpush": "<!-- test: checkout -->\n<!-- terminal: Stop with Ctrl-C. -->",
		"go test ./...":      "<!-- not run: this test is one of them -->",
		"go run ./examples/receiver --name phone --group family":                  "<!-- terminal: is listening -->",
		"go build -o bin/mpush ./cmd/mpush":                                       "<!-- test: await terminal2.log 'hello  world'; end_relay terminal1.log -->\n<!-- terminal: Stop with Ctrl-C. -->",
		`{ "name": "wh1", "url": "http://127.0.0.1:8089/", "method": "GET" },`:    `<!-- insert: an example: -->`,
		`python3 -m http.server 8089 --bind 127.0.0.1 --directory "$(mktemp -d)"`: "<!-- terminal: Serving HTTP -->",
		"<!doctype html>":                                                 "<!-- file: web/index.html -->",
		"self.addEventListener('push', event => {":                        "<!-- file: web/sw.js -->",
		"python3 -m http.server 8000 --bind 127.0.0.1 --directory web":    "<!-- terminal: Serving HTTP -->",
		"curl 'http://127.0.0.1:9093/browser.send?text=hello&desp=world'": "<!-- not run: needs a browser and its push service -->",
		"               core process: auth, routing, queues, acks":        "<!-- not run: a picture -->",
		"curl 'http://127.0.0.1:9093/wh1.send?text=hello&desp=world'":     "<!-- test: await terminal3.log 'configuration reloaded' -->",
		"MPUSH_HTTP_PORT=8080 go run ./cmd/mpush":                         "<!-- test: end_relay terminal3.log -->\n<!-- terminal: Stop with Ctrl-C. -->",
		"go run ./cmd/mpush send phone hello --wait":                      "<!-- test: built -->",
		`"plugins": {`: `<!-- insert: "token": "test" -->`,
		"go run ./cmd/mpush plugin describe bin/file": "<!-- test: await terminal6.log 'channel=file' -->",
		"go run ./cmd/mpush status":                   "<!-- test: end_relay terminal6.log; PATH=$PWD/bin:$PATH; relay; known away; dead away -->",
		"make help":                                   "<!-- not run: this test is a part of it -->",
	}
}

// marked puts the marks before their blocks.
func marked(t *testing.T, page string) string {
	t.Helper()
	marks := readmeMarks()
	lines := strings.Split(page, "\n")
	var out []string
	for i, line := range lines {
		if strings.HasPrefix(line, "```") && i+1 < len(lines) {
			if mark, ok := marks[lines[i+1]]; ok {
				out = append(out, strings.Split(mark, "\n")...)
				delete(marks, lines[i+1])
			}
		}
		out = append(out, line)
	}
	for first := range marks {
		t.Errorf("README.md has no block that begins with %q", first)
	}
	return strings.Join(out, "\n")
}
