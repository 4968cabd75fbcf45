package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestPluginBounds(t *testing.T) {
	for given, want := range map[string]Channel{
		`"limits": {}`:                                            {MaxInFlight: 4096},
		`"limits": {"inFlight": 0}`:                               {},
		`"limits": {"inFlight": 7, "publishRate": 5}`:             {MaxInFlight: 7, PublishRate: 5, PublishBurst: 50},
		`"limits": {"publishRate": 5, "publishBurst": 6}`:         {MaxInFlight: 4096, PublishRate: 5, PublishBurst: 6},
		`"limits": {"publishRate": 5, "publishBurst": 0}`:         {MaxInFlight: 4096, PublishRate: 5, PublishBurst: 1},
		`"targets": {}`:                                           {MaxInFlight: 4096, Targets: &Scope{}},
		`"targets": null`:                                         {MaxInFlight: 4096},
		`"targets": {"names": ["phone-*"], "groups": ["family"]}`: {MaxInFlight: 4096, Targets: &Scope{Names: []string{"phone-*"}, Groups: []string{"family"}}},
		`"receivers": {"names": ["手机", "*"]}`:                     {MaxInFlight: 4096, Receivers: &Scope{Names: []string{"手机", "*"}}},
	} {
		c := mustLoad(t, `{"plugins": {"a": {"path": "/p", "unpinned": true, `+given+`}}}`)
		want.Name, want.Path, want.Enabled, want.Unpinned, want.MTLS = "a", "/p", true, true, true
		if got := channel(t, c, "a"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", given, got, want)
		}
		if raised := strings.Contains(given, `"publishBurst": 0`); raised != (len(c.Warnings) == 1) {
			t.Errorf("%s: warnings %q", given, c.Warnings)
		}
	}
}

func TestPluginBoundsThatAreWrong(t *testing.T) {
	const name = " expected a name of 1 to 256 bytes without control characters, in which * stands for any run of characters"
	for given, want := range map[string]string{
		`"targets": []`:                                                "config.json:2:1: plugins.a.targets: expected an object, found an array",
		`"targets": {"name": ["x"]}`:                                   `config.json:2:13: plugins.a.targets.name: unknown key (did you mean "names"?)`,
		`"targets": {"names": "x"}`:                                    "config.json:2:13: plugins.a.targets.names: expected an array of strings, found a string",
		`"targets": {"names": ["x", ""]}`:                              "config.json:2:28: plugins.a.targets.names[1]:" + name,
		`"receivers": {"groups": ["a\n"]}`:                             "config.json:2:26: plugins.a.receivers.groups[0]:" + name,
		`"receivers": {"groups": [5]}`:                                 "config.json:2:26: plugins.a.receivers.groups[0]: expected a string, found a number",
		`"limits": {"inFlight": -1}`:                                   "config.json:2:12: plugins.a.limits.inFlight: expected a whole number from 0",
		`"limits": {"inflight": 1}`:                                    `config.json:2:12: plugins.a.limits.inflight: unknown key (did you mean "inFlight"?)`,
		`"limits": {"publishBurst": 5}`:                                "config.json:2:12: plugins.a.limits.publishBurst: is of no effect without publishRate",
		`"receivers": {"names": ["` + strings.Repeat("x", 257) + `"]}`: "config.json:2:25: plugins.a.receivers.names[0]:" + name,
	} {
		_, err := loadText(t, `{"plugins": {"a": {"path": "/p", "unpinned": true,`+"\n"+given+`}}}`)
		if err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", given, err, want)
		}
	}
}
