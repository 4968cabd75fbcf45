package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mpush/sdk/pluginpb"
)

// traffic are the checks of a load of messages. They look at the same one.
func traffic() []Check {
	return []Check{
		{
			Name:  "outcomes",
			Shows: "Under load each delivery has one outcome, neither none nor two.",
			needs: []string{"declare"},
			wants: []string{"commands"},
			run: func(ctx context.Context, k *Kit) error {
				report, err := k.loaded(ctx)
				if err != nil {
					return err
				}
				k.note("%s", report.summary())
				if report.missing != nil {
					return report.missing
				}
				return report.verdict("outcomes")
			},
		},
		loadCheck("kinds", "Outcomes are of a kind that there is, and ACKED comes on routes only whose receivers confirm by themselves."),
		loadCheck("credit", "The plugin answers what it was given and nothing else: never more outcomes than leases."),
		loadCheck("generation", "An outcome has the generation of its delivery."),
		loadCheck("order", "The messages of one receiver have their outcomes in the order of delivery, one after the other."),
		{
			Name:  "retry",
			Shows: "After RETRY what was leased behind it is dropped, and the message is taken when it comes again.",
			needs: []string{"outcomes"},
			run: func(ctx context.Context, k *Kit) error {
				report, err := k.loaded(ctx)
				if err != nil {
					return err
				}
				if report.kinds[pluginpb.OutcomeKind_OUTCOME_KIND_RETRY] == 0 {
					return skip("it never asked for one")
				}
				return report.verdict("retry")
			},
		},
		{
			Name:  "health-load",
			Shows: "Health is answered within 5 s under load, too: no two in a row are missed.",
			needs: []string{"outcomes", "health"},
			run: func(ctx context.Context, k *Kit) error {
				report, err := k.loaded(ctx)
				if err != nil {
					return err
				}
				k.note("the slowest answer took %v", report.slowest.Round(time.Millisecond))
				if report.unwell != nil {
					return fmt.Errorf("under load: %w; answer beside the deliveries", report.unwell)
				}
				return nil
			},
		},
	}
}

// loadCheck is a check that looks at one aspect of the load.
func loadCheck(name, shows string) Check {
	return Check{Name: name, Shows: shows, needs: []string{"outcomes"}, run: func(ctx context.Context, k *Kit) error {
		report, err := k.loaded(ctx)
		if err != nil {
			return err
		}
		return report.verdict(name)
	}}
}

func (r *loadReport) verdict(check string) error {
	if wrong := r.wrong[check]; len(wrong) > 0 {
		return errors.New(listed(wrong))
	}
	return nil
}

// summary says how many outcomes of which kind there were.
func (r *loadReport) summary() string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(r.kinds)) {
		name := strings.ToLower(strings.TrimPrefix(kind.String(), "OUTCOME_KIND_"))
		kinds = append(kinds, fmt.Sprintf("%d %s", r.kinds[kind], strings.ReplaceAll(name, "_", " ")))
	}
	return fmt.Sprintf("%d messages: %s", r.messages, strings.Join(kinds, ", "))
}
