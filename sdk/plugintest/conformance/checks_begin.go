package conformance

import (
	"context"
	"errors"
	"fmt"

	"mpush/sdk/pluginpb"
)

// Bounds of a declaration.
const (
	mostRoutes       = 250_000
	mostAddressBytes = 64 << 10
)

// beginning are the checks of how the plugin begins its work.
func beginning() []Check {
	return []Check{
		{
			Name:  "declare",
			Shows: "On the stream the plugin declares its configured routes, once and well-formed; Start succeeds after that, and nothing listens before.",
			needs: []string{"config"},
			run:   declares,
		},
		{
			Name:  "commands",
			Shows: "The commands that were given are claimed and answered, each by one reply with its id.",
			needs: []string{"declare"},
			run:   answersCommands,
		},
		{
			Name:  "health",
			Shows: "Health is answered within 5 s.",
			needs: []string{"declare"},
			wants: []string{"commands"},
			run: func(ctx context.Context, k *Kit) error {
				l, err := k.live(ctx)
				if err != nil {
					return err
				}
				if err := l.answersHealth(ctx); err != nil {
					return err
				}
				if complaint, err := l.health(ctx); err == nil && complaint != "" {
					k.note("%s", complaint)
				}
				return nil
			},
		},
	}
}

func declares(ctx context.Context, k *Kit) error {
	l, err := k.open(ctx)
	if err != nil {
		return err
	}
	if k.target.isProcess() {
		if news := l.listensBeforeStart(); news != nil {
			return news
		}
	}
	l.mu.Lock()
	declared := l.declared
	l.mu.Unlock()
	if len(declared) != 1 {
		return fmt.Errorf("%d Declare envelopes before Start was answered: send the complete set in one", len(declared))
	}
	if declared[0].GetRequestId() == 0 {
		return errors.New("the request_id of Declare is 0: give it one, the core calls Start when it has answered")
	}
	return wellDeclared(declared[0].GetDeclare())
}

// listensBeforeStart looks at what was open when Start was called.
func (l *life) listensBeforeStart() error {
	fresh, err := l.kit.configured(context.Background())
	if err != nil {
		return nil // it is no longer what it was: other checks see to that
	}
	defer fresh.close()
	idle, ok := usageOf(fresh.inst.pid())
	if ok && len(l.before.listening) > len(idle.listening) {
		return fmt.Errorf("it listens on %s before Start: wait for Start, other channels have yet to declare their receivers", listed(l.before.listening))
	}
	return nil
}

func wellDeclared(d *pluginpb.Declare) error {
	if n := len(d.GetRoutes()); n > mostRoutes {
		return fmt.Errorf("%d routes: declare %d at most", n, mostRoutes)
	}
	var wrong []string
	seen := map[string]bool{}
	for i, r := range d.GetRoutes() {
		name := r.GetReceiver()
		err := misnamed("receiver", name, "group", r.GetGroup())
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("route %d: %v", i, err))
		case seen[name]:
			wrong = append(wrong, fmt.Sprintf("%q is declared twice", name))
		case len(r.GetAddress()) > mostAddressBytes:
			wrong = append(wrong, fmt.Sprintf("the address of %q has %d bytes, %d are allowed", name, len(r.GetAddress()), mostAddressBytes))
		}
		seen[name] = true
	}
	if len(wrong) > 0 {
		return errors.New(listed(wrong))
	}
	return nil
}

func answersCommands(ctx context.Context, k *Kit) error {
	if len(k.target.Commands) == 0 {
		return skip("none was given")
	}
	l, err := k.open(ctx)
	if err != nil {
		return err
	}
	for _, c := range k.target.Commands {
		claimed := false
		for _, name := range l.manifest.GetCommands() {
			claimed = claimed || name == c.Name
		}
		if !claimed {
			return fmt.Errorf("the command %s is not among those that Describe claims, %q: no core would send it", c.Name, l.manifest.GetCommands())
		}
	}
	return l.populate(ctx)
}
