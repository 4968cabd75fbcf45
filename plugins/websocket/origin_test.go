package websocket

import (
	"io"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"mpush/sdk/plugintest"
)

func TestPagesOfElsewhereAreRefusedWhileLoopbackIsAllThatProtects(t *testing.T) {
	const elsewhere = "https://elsewhere.example"
	for _, test := range []struct {
		name   string
		config string
		weak   bool
		origin []string
		proxy  []string // what a proxy says for whom it speaks
		status int
	}{
		{"weak token", `{"port":0}`, true, []string{elsewhere}, nil, 403},
		{"open door", `{"port":0,"verifyToken":false}`, false, []string{elsewhere}, nil, 403},
		{"a file or a frame", `{"port":0}`, true, []string{"null"}, nil, 403},
		{"one of two", `{"port":0}`, true, []string{"http://localhost", elsewhere}, nil, 403},
		{"no page", `{"port":0}`, true, nil, nil, 101},
		{"a page of this machine", `{"port":0}`, true, []string{"http://127.0.0.1:8000"}, nil, 101},
		{"by a proxy", `{"port":0}`, true, []string{elsewhere}, []string{"198.51.100.7"}, 101},
		{"by two proxies", `{"port":0}`, true, []string{elsewhere}, []string{"198.51.100.7, 127.0.0.1"}, 101},
		{"by a proxy, from here", `{"port":0}`, true, []string{elsewhere}, []string{"::1"}, 403},
		{"by a proxy that does not say", `{"port":0}`, true, []string{elsewhere}, []string{"unknown"}, 403},
		{"a named host", `{"host":"127.0.0.1","port":0}`, true, []string{elsewhere}, nil, 101},
		{"a named host, open door", `{"host":"127.0.0.1","port":0,"verifyToken":false}`, true, []string{"null"}, nil, 101},
	} {
		t.Run(test.name, func(t *testing.T) {
			core := plugintest.Start(t, New(), plugintest.Options{Config: test.config, WeakToken: test.weak, TrustedProxies: []string{"127.0.0.0/8", "::1/128"}})
			ws, response, err := websocket.DefaultDialer.Dial("ws://"+core.Endpoints()[0], http.Header{"Origin": test.origin, "X-Forwarded-For": test.proxy})
			if response == nil || response.StatusCode != test.status {
				t.Fatalf("got %+v, %v", response, err)
			}
			if err == nil {
				ws.Close()
				return
			}
			body, err := io.ReadAll(response.Body)
			if want := info("websocket.host: only web pages of this machine are let in while anybody can let itself in"); string(body) != want || err != nil {
				t.Errorf("got %s, %v", body, err)
			}
		})
	}
}

func TestOriginsOfThisMachine(t *testing.T) {
	for origin, local := range map[string]bool{
		"http://localhost":          true,
		"https://LocalHost:8443":    true,
		"http://app.localhost:8000": true,
		"capacitor://localhost":     true,
		"http://127.0.0.1:8000":     true,
		"http://127.8.9.10":         true,
		"http://[::1]:8000":         true,

		"":                              false,
		"null":                          false,
		"file://":                       false,
		"localhost":                     false,
		"https://elsewhere.example":     false,
		"http://localhost.example":      false,
		"http://notlocalhost":           false,
		"http://127.0.0.1.example":      false,
		"http://elsewhere.example:9094": false, // whatever its name stands for
		"http://128.0.0.1":              false,
		"http://192.168.1.5":            false,
		"http://0.0.0.0":                false,
		"http://[::2]":                  false,
		"http://%zz":                    false,
	} {
		if isLocal(origin) != local {
			t.Errorf("%q: %v", origin, !local)
		}
	}
}
