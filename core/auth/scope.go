package auth

import (
	"slices"
	"strings"
)

// Pattern says which names are meant: "*" stands for any run of characters, also
// for none; everything else stands for itself. "phone-*" means phone-1, and
// phone-, but not phone.
type Pattern string

// Matches tells whether all of the name fits. The time that it takes grows with
// the product of the lengths at worst, both of which are bounded.
func (p Pattern) Matches(name string) bool {
	head, rest, wild := strings.Cut(string(p), "*")
	name, fits := strings.CutPrefix(name, head)
	for fits && wild {
		var part string
		if part, rest, wild = strings.Cut(rest, "*"); !wild {
			return strings.HasSuffix(name, part)
		}
		// The first place is as good as any later one: what follows has the most
		// room behind it.
		_, name, fits = strings.Cut(name, part)
	}
	return fits && name == ""
}

// Scope bounds whom somebody may deal with: receivers by name, and groups. A nil
// Scope bounds nothing, an empty one allows nobody. It is not changed once made,
// so that any goroutine may ask it.
type Scope struct {
	Names  []Pattern
	Groups []Pattern
}

// HasName tells whether the receiver of this name is within the scope.
func (s *Scope) HasName(name string) bool { return s == nil || anyMatches(s.Names, name) }

// HasGroup tells whether the group is within the scope.
func (s *Scope) HasGroup(group string) bool { return s == nil || anyMatches(s.Groups, group) }

func anyMatches(patterns []Pattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Matches(name) })
}
