package pluginpb_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mpush/sdk/pluginpb"
)

func TestASideSpeaksItsVersionAndTheOneBefore(t *testing.T) {
	for newest, want := range map[uint32]string{1: "1", 2: "2 or 1", 3: "3 or 2", 7: "7 or 6"} {
		if got := pluginpb.Spoken(newest).String(); got != want {
			t.Errorf("%d: speaks %s, want %s", newest, got, want)
		}
	}
}

// Every pair of neighbours finds the newest version that both speak, and every
// other pair is told so by the older side's number.
func TestNeighboursAgreeAndOthersAreToldWhoMustUpgrade(t *testing.T) {
	for core := uint32(1); core <= 6; core++ {
		for plugin := uint32(1); plugin <= 6; plugin++ {
			cores, plugins := pluginpb.Spoken(core), pluginpb.Spoken(plugin)
			chosen := plugins.Choose(core)
			agree := max(core, plugin)-min(core, plugin) <= 1
			switch {
			case agree && (chosen != min(core, plugin) || cores.Refuse(chosen) != nil):
				t.Errorf("core %d, plugin %d: chose %d, %v", core, plugin, chosen, cores.Refuse(chosen))
			case !agree && plugin > core && chosen != 0:
				t.Errorf("core %d, plugin %d: chose %d", core, plugin, chosen)
			case !agree && plugin < core && cores.Refuse(chosen) == nil:
				t.Errorf("core %d, plugin %d: chose %d, which is served", core, plugin, chosen)
			case chosen > core:
				t.Errorf("core %d, plugin %d: chose %d, more than was asked for", core, plugin, chosen)
			}
		}
	}
}

func TestRefusalNamesBothVersionsAndWhatToDo(t *testing.T) {
	for _, test := range []struct {
		core, plugin uint32
		want         []string
	}{
		{3, 4, []string{"version 4", "3 or 2", "upgrade mpush"}},
		{3, 1, []string{"version 1", "3 or 2", "upgrade the plugin"}},
		{1, 2, []string{"version 2", "this core 1:", "upgrade mpush"}},
		{1, 0, []string{"no version", "speaks 1:", "DescribeResponse.protocol"}},
	} {
		got := fmt.Sprint(pluginpb.Spoken(test.core).Refuse(test.plugin))
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("core %d, plugin %d: %q lacks %q", test.core, test.plugin, got, want)
			}
		}
	}
}

func TestFeaturesThatOneSideDoesNotKnowAreIgnored(t *testing.T) {
	if got := pluginpb.Common([]string{"b", "x", "a"}, []string{"a", "b", "c"}); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("common %q", got)
	}
	if got := pluginpb.Common(nil, []string{"a"}); got != nil {
		t.Errorf("common %q", got)
	}
}
