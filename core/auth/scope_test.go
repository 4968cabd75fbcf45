package auth

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"phone", "phone", true},
		{"phone", "phones", false},
		{"phone", "Phone", false},
		{"phone-*", "phone-1", true},
		{"phone-*", "phone-", true},
		{"phone-*", "phone", false},
		{"*", "", true},
		{"*", "a\nb", true},
		{"*-mail", "a-mail-mail", true},
		{"*-mail", "a-mails", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "a--b--b--c", true},
		{"a*b*c", "acb", false},
		{"a*a", "a", false},
		{"ab*ba", "aba", false},
		{"**", "x", true},
		{"a**b", "ab", true},
		{"*a*a*", "a", false},
		{"a?c", "abc", false},
		{"a.c", "abc", false},
		{"[ab]", "a", false},
		{"手机*", "手机一号", true},
		{"", "", true},
		{"", "a", false},
	} {
		if got := Pattern(test.pattern).Matches(test.name); got != test.want {
			t.Errorf("%q, %q: %v", test.pattern, test.name, got)
		}
	}
}

// A regular expression with all else quoted means the same.
func TestPatternIsARegularExpressionOfRunsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(alphabet string) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom(strings.Split(alphabet, "")), 0, 8).Draw(t, "text"), "")
		}
		pattern, name := text("ab*."), text("ab.")
		want := regexp.MustCompile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `$`).MatchString(name)
		if got := Pattern(pattern).Matches(name); got != want {
			t.Errorf("%q, %q: %v", pattern, name, got)
		}
	})
}

func TestScope(t *testing.T) {
	var all *Scope
	if !all.HasName("phone") || !all.HasGroup("family") {
		t.Error("nil bounds nothing")
	}
	none := &Scope{}
	if none.HasName("phone") || none.HasGroup("family") {
		t.Error("an empty scope allows nobody")
	}
	some := &Scope{Names: []Pattern{"phone-*", "tv"}, Groups: []Pattern{"family"}}
	if !some.HasName("tv") || !some.HasName("phone-2") || some.HasName("family") || !some.HasGroup("family") || some.HasGroup("tv") {
		t.Error("names are names and groups are groups")
	}
}
