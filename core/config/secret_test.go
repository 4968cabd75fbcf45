package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverShown(t *testing.T) {
	const canary = "hunter2"
	c := mustLoad(t, `{"token": "`+canary+`"}`)
	holder := struct{ Token Secret }{c.Token}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", c.Token, &c.Token, holder)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&out, verb+verb, c, *c)
	}
	text, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "token", c.Token, "holder", holder, "list", []Secret{c.Token})
	}
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("shown in\n%s", out.String())
	}
	if c.Token.Reveal() != canary {
		t.Errorf("revealed %q", c.Token.Reveal())
	}
}

func TestWeakTokens(t *testing.T) {
	for token, want := range map[string]bool{
		"": true, "test": true, "TEST": true, " test ": true, "change-me": true, "123456": true, "mpush": true,
		"correct horse battery staple": false, "test2": false,
	} {
		c := mustLoad(t, `{"token": `+string(quote(token))+`}`)
		if c.WeakToken() != want {
			t.Errorf("%q: %v", token, c.WeakToken())
		}
	}
}
