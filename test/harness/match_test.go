package harness

import "testing"

func TestPacketsThatDifferDoNotMatch(t *testing.T) {
	for _, c := range []struct {
		got, want string
		same      bool
	}{
		{`{"a":1,"b":[true,null]}`, `{"b":[true,null],"a":1}`, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":1}`, `{"a":1.0}`, false},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, false},
		{`{"a":"1"}`, `{"a":1}`, false},
		{`{"a":1,"b":2}`, `{"a":1}`, false},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`[1,2]`, `[1]`, false},
		{`[1]`, `{"0":1}`, false},
		{`null`, `{}`, false},
		{`{}{}`, `{}`, false},
		{`{"a":`, `{}`, false},
		{`{"a":"x"}`, `{"a":"<word>"}`, true},
		{`{"a":7}`, `{"a":"<word>"}`, false},
		{`{"a":"x","b":"x"}`, `{"a":"<word>","b":"<word>"}`, true},
		{`{"a":"x","b":"y"}`, `{"a":"<word>","b":"<word>"}`, false},
	} {
		words := make(map[string]string)
		if err := match(c.got, c.want, words); (err == nil) != c.same {
			t.Errorf("%s and %s: %v", c.got, c.want, err)
		}
	}
}

func TestPlaceholdersAreFilled(t *testing.T) {
	words := Match(t, `{"data":{"mid":"17","phone":"ok"}}`, `{"data":{"mid":"<mid>","phone":"ok"}}`)
	if len(words) != 1 || words["mid"] != "17" {
		t.Errorf("words %v", words)
	}
}
