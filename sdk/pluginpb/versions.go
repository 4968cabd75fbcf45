package pluginpb

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Versions are the protocol versions that one side speaks, both ends included.
type Versions struct{ Oldest, Newest uint32 }

// Spoken are the versions that a core and an sdk of newest speak: that one and
// the one before, of which there is none before version 1.
func Spoken(newest uint32) Versions {
	return Versions{Oldest: max(newest, 2) - 1, Newest: newest}
}

// Has reports whether version is one of them.
func (v Versions) Has(version uint32) bool { return v.Oldest <= version && version <= v.Newest }

// Choose is how a plugin answers a core that asks for requested: with the
// highest version that it speaks, but no higher one. 0: there is none. Whoever
// asks for none in particular, with 0, gets the newest.
func (v Versions) Choose(requested uint32) uint32 {
	if requested == 0 {
		return v.Newest
	}
	if chosen := min(requested, v.Newest); v.Has(chosen) {
		return chosen
	}
	return 0
}

// Refuse says why a core that speaks v does not serve a plugin that speaks
// version, and which side has to change; nil if it does serve it.
func (v Versions) Refuse(version uint32) error {
	switch {
	case v.Has(version):
		return nil
	case version > v.Newest:
		return fmt.Errorf("the plugin speaks version %d, this core %s: upgrade mpush, or take an older release of the plugin", version, v)
	case version == 0:
		return fmt.Errorf("the plugin names no version, this core speaks %s: the plugin must name the one that it speaks, in its handshake and in DescribeResponse.protocol", v)
	default:
		return fmt.Errorf("the plugin speaks version %d, this core %s: upgrade the plugin", version, v)
	}
}

// String lists them: "2 or 1".
func (v Versions) String() string {
	var all []string
	for _, version := range v.all() {
		all = append(all, strconv.FormatUint(uint64(version), 10))
	}
	return strings.Join(all, " or ")
}

// all is the newest first.
func (v Versions) all() []uint32 {
	var all []uint32
	for version := v.Oldest; version <= v.Newest; version++ {
		all = append(all, version)
	}
	slices.Reverse(all)
	return all
}

// Common are the features that both sides know, in the order of used. What one
// side does not know is ignored.
func Common(used, offered []string) []string {
	var common []string
	for _, feature := range used {
		if slices.Contains(offered, feature) {
			common = append(common, feature)
		}
	}
	return common
}
