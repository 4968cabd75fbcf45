package sdk

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mpush/sdk/pluginpb"
)

func TestPluginAnswersWithAtMostTheVersionAskedFor(t *testing.T) {
	s := newServer(&recorder{})
	s.speaks = pluginpb.Spoken(3)
	for asked, want := range map[uint32]uint32{9: 3, 3: 3, 2: 2, 0: 3} {
		got, err := s.Describe(t.Context(), &pluginpb.DescribeRequest{Protocol: asked})
		if err != nil || got.GetProtocol() != want {
			t.Errorf("asked for %d: %v, %v", asked, got, err)
		}
	}
	_, err := s.Describe(t.Context(), &pluginpb.DescribeRequest{Protocol: 1})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "version 1, this plugin speaks 3 or 2: upgrade mpush") {
		t.Errorf("asked for 1: %v", err)
	}
}

func TestPluginTellsWhichOfferedFeaturesItUses(t *testing.T) {
	s := newServer(&recorder{})
	s.uses = []string{"compression", "batches"}
	got, err := s.Describe(t.Context(), &pluginpb.DescribeRequest{Protocol: 1, Features: []string{"unheard-of", "batches"}})
	if err != nil || !slices.Equal(got.GetFeatures(), []string{"batches"}) {
		t.Errorf("described %v, %v", got, err)
	}
}
