package config

import (
	"slices"
	"testing"
)

func TestPositionOfAChannelsKey(t *testing.T) {
	c := mustLoad(t, `{
  "http": {
    "port": 1,
    "clients": [
      {"url": "a"}, {
        "url": "b", "a.b": {"c": 1},
      },
    ],
  },
  "plugins": {
    "tg": {"path": "p", "unpinned": true,
      "config": {"chat": 5}},
    "bare": {"path": "p", "unpinned": true},
  },
}`, "MPUSH_HTTP_HOST=x", "MPUSH_PLUGINS_TG_CONFIG_DEEP_KEY=1", "MPUSH_PLUGINS_TG_CONFIG_CHAT=6")
	for _, test := range []struct{ channel, key, position, path string }{
		{"http", "port", "config.json:3:5", "http.port"},
		{"http", "", "config.json:2:3", "http"},
		{"http", "clients", "config.json:4:5", "http.clients"},
		{"http", "clients[0]", "config.json:5:7", "http.clients[0]"},
		{"http", "clients[0].url", "config.json:5:8", "http.clients[0].url"},
		{"http", "clients[1].url", "config.json:6:9", "http.clients[1].url"},
		{"http", `clients[1]["a.b"].c`, "config.json:6:29", `http.clients[1]["a.b"].c`},
		{"http", "clients[1].group", "config.json:5:21", "http.clients[1].group"},
		{"http", "clients[2].url", "config.json:4:5", "http.clients[2].url"},
		{"http", "port.deep", "config.json:3:5", "http.port.deep"},
		{"http", "absent", "config.json:2:3", "http.absent"},
		{"http", "clients[x].y", "config.json:4:5", "http.clients[x].y"},
		{"http", "host", "environment variable MPUSH_HTTP_HOST", "http.host"},
		{"websocket", "port", "config.json", "websocket.port"},
		{"tg", "chat", "environment variable MPUSH_PLUGINS_TG_CONFIG_CHAT", "plugins.tg.config.chat"},
		{"tg", "deep.key", "environment variable MPUSH_PLUGINS_TG_CONFIG_DEEP_KEY", "plugins.tg.config.deep.key"},
		{"tg", "absent", "config.json:12:7", "plugins.tg.config.absent"},
		{"bare", "chat", "config.json:13:5", "plugins.bare.config.chat"},
		{"unknown", "a", "config.json:10:3", "plugins.unknown.config.a"},
	} {
		if got := c.Position(test.channel, test.key); got != test.position {
			t.Errorf("%s %s: %s, want %s", test.channel, test.key, got, test.position)
		}
		if got, want := c.Fault(test.channel, test.key, "is wrong").Error(), test.position+": "+test.path+": is wrong"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestKeyPathsAreReadAsTheyAreWritten(t *testing.T) {
	for _, steps := range [][]step{
		{{key: "a"}},
		{{key: "a"}, {key: "b-c_9"}, {index: 12, isIndex: true}, {key: "d"}},
		{{index: 0, isIndex: true}, {index: 1, isIndex: true}},
		{{key: "a.b"}, {key: `"]`}, {key: ""}, {key: "手机"}, {key: "x"}},
	} {
		got, ok := parseSteps(formatSteps(steps))
		if !ok || !slices.Equal(got, steps) {
			t.Errorf("%s: %+v, %v", formatSteps(steps), got, ok)
		}
	}
	for path, understood := range map[string]int{
		"a..b": 1, "a[": 1, "a[x]": 1, "a[-1]": 1, "a[0": 1, `a["b]`: 1, `a["b"`: 1, "a[0]b": 2, ".a": 0, "a.": 1,
	} {
		if got, ok := parseSteps(path); ok || len(got) != understood {
			t.Errorf("%s: %+v, %v", path, got, ok)
		}
	}
}
