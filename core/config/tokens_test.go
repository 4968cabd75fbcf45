package config

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTokens(t *testing.T) {
	sum := fmt.Sprintf("%X", sha256.Sum256([]byte("one")))
	text := `{"token": "single", "tokens": [
		{"name": "ci", "sha256": "` + sum + `", "rights": ["send"], "targets": {"names": ["phone-*"]}},
		{"name": "tv", "token": "${env:TV}", "rights": ["receive", "admin"], "names": ["tv"], "expires": "2099-01-31T00:00:00+01:00"},
		{"name": "number", "token": 12345678901234567890123, "rights": ["send"], "groups": ["g"]},
	]}`
	c, err := build(newSource("config.json", []byte(text)), ".", Options{Environ: []string{"TV=a strong one"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Token{
		{Name: "ci", Sum: sha256.Sum256([]byte("one")), Rights: []string{MaySend}, Targets: &Scope{Names: []string{"phone-*"}}},
		{Name: "tv", Sum: sha256.Sum256([]byte("a strong one")), Rights: []string{MayReceive, MayAdmin}, Receivers: &Scope{Names: []string{"tv"}}},
		{Name: "number", Sum: sha256.Sum256([]byte("12345678901234567890123")), Rights: []string{MaySend}, Receivers: &Scope{Names: []string{"*"}, Groups: []string{"g"}}},
	}
	if at := c.Tokens[1].Expires; at.UTC().Format(time.RFC3339) != "2099-01-30T23:00:00Z" {
		t.Errorf("it expires at %v", at)
	}
	c.Tokens[1].Expires = time.Time{}
	if !reflect.DeepEqual(c.Tokens, want) || c.WeakToken() || len(c.Unserved) != 0 {
		t.Errorf("got  %+v\nwant %+v", c.Tokens, want)
	}
	if shown, err := json.Marshal(c.Tokens); err != nil || strings.Contains(strings.ToLower(string(shown)+fmt.Sprintf("%v %+v", c.Tokens, c.Tokens)), strings.ToLower(sum[:8])) {
		t.Errorf("it shows %s, %v", shown, err)
	}
}

func TestFaultsOfTokens(t *testing.T) {
	good := `"rights": ["send"]`
	for name, row := range map[string][2]string{
		"no array":         {`{"tokens": {}}`, "config.json:1:2: tokens: expected an array of objects, found an object"},
		"no object":        {`{"tokens": [5]}`, "config.json:1:13: tokens[0]: expected an object, found a number"},
		"no name":          {`{"tokens": [{"token": "a1", ` + good + `}]}`, "config.json:1:13: tokens[0]: name is missing: what the token is called in refusals and commands"},
		"empty name":       {`{"tokens": [{"name": "", "token": "a1", ` + good + `}]}`, "config.json:1:14: tokens[0].name: expected 1 to 64 bytes without control characters"},
		"no value":         {`{"tokens": [{"name": "a", ` + good + `}]}`, `config.json:1:13: tokens[0]: expected "sha256", of the token's value, or "token", the value itself; "mpush token new" makes an entry`},
		"two values":       {`{"tokens": [{"name": "a", "token": "x1", "sha256": "x", ` + good + `}]}`, `config.json:1:27: tokens[0].token: contradicts "sha256": remove one of them`},
		"empty value":      {`{"tokens": [{"name": "a", "token": "", ` + good + `}]}`, `config.json:1:27: tokens[0].token: is empty: expected a long random word`},
		"no digits":        {`{"tokens": [{"name": "a", "sha256": "x", ` + good + `}]}`, `config.json:1:27: tokens[0].sha256: expected 64 hex digits`},
		"no rights":        {`{"tokens": [{"name": "a", "token": "x1"}]}`, `config.json:1:13: tokens[0]: rights are missing: expected some of send, receive, admin`},
		"empty rights":     {`{"tokens": [{"name": "a", "token": "x1", "rights": []}]}`, `config.json:1:42: tokens[0].rights: is empty: expected some of send, receive, admin`},
		"unknown right":    {`{"tokens": [{"name": "a", "token": "x1", "rights": ["send", "sned"]}]}`, `config.json:1:61: tokens[0].rights[1]: unknown right: expected some of send, receive, admin`},
		"unknown key":      {`{"tokens": [{"name": "a", "token": "x1", ` + good + `, "nmaes": []}]}`, `config.json:1:62: tokens[0].nmaes: unknown key (did you mean "names"?)`},
		"no pattern":       {`{"tokens": [{"name": "a", "token": "x1", ` + good + `, "names": ["a", ""]}]}`, `config.json:1:77: tokens[0].names[1]: expected a name of 1 to 256 bytes without control characters, in which * stands for any run of characters`},
		"no target":        {`{"tokens": [{"name": "a", "token": "x1", ` + good + `, "targets": ["a"]}]}`, `config.json:1:62: tokens[0].targets: expected an object, found an array`},
		"unknown target":   {`{"tokens": [{"name": "a", "token": "x1", ` + good + `, "targets": {"name": []}}]}`, `config.json:1:74: tokens[0].targets.name: unknown key (did you mean "names"?)`},
		"no time":          {`{"tokens": [{"name": "a", "token": "x1", ` + good + `, "expires": "90d"}]}`, `config.json:1:62: tokens[0].expires: expected a time like "2099-01-31T00:00:00Z"`},
		"two of a name":    {`{"tokens": [{"name": "a", "token": "x1", ` + good + `}, {"name": "a", "token": "x2", ` + good + `}]}`, `config.json:1:64: tokens[1].name: another token has this name already: each needs its own`},
		"two of a value":   {`{"tokens": [{"name": "a", "token": "x1", ` + good + `}, {"name": "b", "token": "x1", ` + good + `}]}`, `config.json:1:63: tokens[1]: has the same value as the token "a"`},
		"the single value": {`{"tokens": [{"name": "a", "token": "x1", ` + good + `}], "token": "x1"}`, `config.json:1:13: tokens[0]: has the same value as "token", which may do everything`},
		"absent variable":  {`{"tokens": [{"name": "a", "token": "${env:ABSENT}", ` + good + `}]}`, `config.json:1:27: tokens[0].token: the environment variable ABSENT is not set`},
	} {
		_, err := build(newSource("config.json", []byte(row[0])), ".", Options{})
		if err == nil || err.Error() != row[1] {
			t.Errorf("%s:\n got %v\nwant %s", name, err, row[1])
		}
	}
}

func TestWeakTokenAmongTokens(t *testing.T) {
	strong, weak := `{"name": "a", "token": "a strong one", "rights": ["send"]}`, `{"name": "b", "token": "Change-Me", "rights": ["send"]}`
	hashed := fmt.Sprintf(`{"name": "b", "sha256": "%x", "rights": ["receive"]}`, sha256.Sum256([]byte("password")))
	for text, want := range map[string]bool{
		`{"tokens": [` + strong + `]}`: false, // an empty single token lets nobody in then
		`{"tokens": []}`:               false,
		`{"tokens": null}`:             true,
		`{"token": "strong as well", "tokens": [` + strong + `]}`:     false,
		`{"token": "test", "tokens": [` + strong + `]}`:               true,
		`{"token": "strong as well", "tokens": [` + weak + `]}`:       true,
		`{"token": "strong as well", "tokens": [` + hashed + `]}`:     true,
		`{"tokens": [` + strong + `, ` + weak + `]}`:                  true,
		`{"token": "strong as well", "tokens": [], "console": null }`: false,
	} {
		if got := mustLoad(t, text).WeakToken(); got != want {
			t.Errorf("%s: weak %v", text, got)
		}
	}
}

// Only a token that is another one is a change, not one that has moved.
func TestDifferencesOfTokens(t *testing.T) {
	a := mustLoad(t, `{"tokens": [{"name": "a", "token": "x1", "rights": ["send"]}]}`)
	if got := a.Differences(mustLoad(t, "{\n\n\"tokens\": [ {\"token\": \"x1\", \"name\": \"a\", \"rights\": [\"send\"]}]}")); len(got) != 0 {
		t.Errorf("moved: %q", got)
	}
	if got := a.Differences(mustLoad(t, `{"tokens": [{"name": "a", "token": "x2", "rights": ["send"]}]}`)); fmt.Sprint(got) != "[tokens]" {
		t.Errorf("changed: %q", got)
	}
}

func tokenPath(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTokenIsAddedAndRemovedAndNothingElseIsChanged(t *testing.T) {
	entry := &TokenEntry{Name: "new", SHA256: strings.Repeat("ab", 32), Rights: []string{MaySend}, Targets: &TargetEntry{Names: []string{"a<b"}}}
	added := entry.String()
	if want := `{ "name": "new", "sha256": "` + entry.SHA256 + `", "rights": ["send"], "targets": { "names": ["a<b"] } }`; added != want {
		t.Fatalf("the entry is %s", added)
	}
	const a = `{"name": "a", "token": "x1", "rights": ["send"]}`
	for name, row := range map[string][3]string{ // before, after, without it again
		"none":             {"\ufeff{\r\n  // mine\r\n  \"token\": \"x\", // yours\r\n}", "\ufeff{\r\n  // mine\r\n  \"token\": \"x\",\n  \"tokens\": [\n    NEW\n  ], // yours\r\n}", "\ufeff{\r\n  // mine\r\n  \"token\": \"x\",\n  \"tokens\": [\n  ], // yours\r\n}"},
		"empty file":       {`{}`, "{\n  \"tokens\": [\n    NEW\n  ]\n}", "{\n  \"tokens\": [\n  ]\n}"},
		"no single":        {"{\n  \"http\": {}\n}", "{\n  \"tokens\": [\n    NEW\n  ],\n  \"http\": {}\n}", "{\n  \"tokens\": [\n  ],\n  \"http\": {}\n}"},
		"null":             {`{"tokens": null}`, "{\"tokens\": [\n    NEW\n  ]}", "{\"tokens\": [\n  ]}"},
		"empty list":       {`{"tokens": []}`, `{"tokens": [NEW]}`, `{"tokens": []}`},
		"on one line":      {`{"tokens": [` + a + `]}`, `{"tokens": [` + a + `, NEW]}`, `{"tokens": [` + a + ` ]}`},
		"on one line, too": {`{"tokens": [` + a + `,]}`, `{"tokens": [` + a + `, NEW]}`, `{"tokens": [` + a + ` ]}`},
		"on lines":         {"{\"tokens\": [\n  " + a + " // the first\n  // the end\n]}", "{\"tokens\": [\n  " + a + ", // the first\n  // the end\n  NEW\n]}", "{\"tokens\": [\n  " + a + " // the first\n  // the end\n]}"},
		"with a comma":     {"{\"tokens\": [\n  " + a + ", // the first\n]}", "{\"tokens\": [\n  " + a + ", // the first\n  NEW\n]}", "{\"tokens\": [\n  " + a + " // the first\n]}"},
	} {
		path := tokenPath(t, row[0])
		for i, change := range []func() (string, error){
			func() (string, error) { return AddToken(Options{Path: path}, entry) },
			func() (string, error) { return RemoveToken(Options{Path: path}, "new") },
		} {
			if got, err := change(); err != nil || got != path {
				t.Fatalf("%s: %s, %v", name, got, err)
			}
			got, err := os.ReadFile(path)
			if want := strings.ReplaceAll(row[i+1], "NEW", added); err != nil || string(got) != want {
				t.Errorf("%s: got\n%q\nwant\n%q", name, got, want)
			}
			if _, err := Load(Options{Path: path}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestTokensAreTakenOutOfTheMiddle(t *testing.T) {
	const text = "{\"tokens\": [\n  {\"name\": \"a\"}, // one\n  {\"name\": \"b\"} /* so */ , // two\n  // of c\n  {\"name\": \"c\"} // three\n]}"
	for name, want := range map[string]string{
		"a": "{\"tokens\": [\n   // one\n  {\"name\": \"b\"} /* so */ , // two\n  // of c\n  {\"name\": \"c\"} // three\n]}",
		"b": "{\"tokens\": [\n  {\"name\": \"a\"}, // one\n   /* so */  // two\n  // of c\n  {\"name\": \"c\"} // three\n]}",
		"c": "{\"tokens\": [\n  {\"name\": \"a\"}, // one\n  {\"name\": \"b\"} /* so */  // two\n  // of c\n   // three\n]}",
	} {
		path := tokenPath(t, text)
		if _, err := RemoveToken(Options{Path: path}, name); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestWrongVariableOverTokensOfOneValueIsTold(t *testing.T) {
	const rights = `"rights": ["send"], "targets": {"names": ["x"]}`
	path := tokenPath(t, `{"tokens": [{"name": "a", "token": "x1", `+rights+`}, {"name": "b", "token": "x1", `+rights+`}]}`)
	for _, value := range []string{"abc", "[1]", "{}", "[]"} {
		_, err := Load(Options{Path: path, Environ: []string{"MPUSH_TOKENS=" + value}})
		if wrong := value != "[]"; (err != nil) != wrong || wrong && !strings.Contains(err.Error(), "environment variable MPUSH_TOKENS: ") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestTokensThatCanNotBeChangedInTheFile(t *testing.T) {
	entry := &TokenEntry{Name: "a"}
	for name, row := range map[string]struct {
		text    string
		environ []string
		want    string
	}{
		"there already":      {`{"tokens": [{"name": "a"}]}`, nil, `there is a token "a" already`},
		"of another kind":    {`{"tokens": {}}`, nil, "tokens: expected an array of objects, found an object"},
		"in the environment": {`{}`, []string{"MPUSH_TOKENS=[]"}, "environment variable MPUSH_TOKENS: tokens: is set here"},
		"no JSON":            {`{`, nil, "ends too early"},
	} {
		path := tokenPath(t, row.text)
		if _, err := AddToken(Options{Path: path, Environ: row.environ}, entry); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != row.text {
			t.Errorf("%s: it is %s now", name, got)
		}
	}
	if _, err := RemoveToken(Options{Path: tokenPath(t, `{"tokens": [{"name": "a"}, {"name": "b"}]}`)}, "c"); err == nil || !strings.HasSuffix(err.Error(), `there is no token "c": the file has a, b`) {
		t.Errorf("removed: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 5, time.UTC)
	for text, want := range map[string]string{"90d": "2026-04-01T12:00:00Z", "12h": "2026-01-02T00:00:00Z", "2099-01-31T00:00:00Z": "2099-01-31T00:00:00Z", "soon": "", "": ""} {
		got, err := ParseExpiry(text, now)
		if (err != nil) != (want == "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
