package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"mpush/sdk/pluginpb"
)

// Kit checks one plugin. Its methods belong to one goroutine. Close it when
// done.
type Kit struct {
	target  Target
	results map[string]Result
	notes   []string // of the check that runs
	current *life    // started and in good health, as far as is known; or nil
	said    string   // the last words of a life that has been closed
	// spare has been connected to, and nothing that has an effect was asked of
	// it: the next life may be its. Starting takes a second in some languages.
	spare    instance
	manifest *pluginpb.DescribeResponse // the first
	load     *loadReport

	mu     sync.Mutex
	memory memory
}

// memory is what a core keeps beyond the plugin's lives. Kit.mu guards it.
type memory struct {
	mid        int64
	generation uint64
	request    uint64
	state      map[string][]byte
	registered map[string]*pluginpb.DeclaredRoute
	sessions   map[string]string // auth → name
	calling    map[string]int    // receivers whose command is being answered
	misformed  []string          // requests that no core would take
	published  int
}

// New makes a Kit, which has started nothing yet.
func New(target Target) (*Kit, error) {
	switch {
	case len(target.Command) == 0 && target.New == nil && target.serve == nil:
		return nil, errors.New("the target names no plugin: set Command or New")
	case len(target.Command) > 0 && target.New != nil:
		return nil, errors.New("the target names two plugins: set either Command or New")
	}
	return &Kit{target: target.withDefaults(), results: map[string]Result{}, memory: memory{
		mid:        1596543210000,
		generation: 100,
		state:      map[string][]byte{},
		registered: map[string]*pluginpb.DeclaredRoute{},
		sessions:   map[string]string{},
		calling:    map[string]int{},
	}}, nil
}

// Close ends what runs of the plugin.
func (k *Kit) Close() {
	k.drop()
	if k.spare != nil {
		k.spare.close()
		k.spare = nil
	}
}

func (k *Kit) note(format string, args ...any) {
	k.notes = append(k.notes, fmt.Sprintf(format, args...))
}

func (k *Kit) nextMID() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.memory.mid++
	return k.memory.mid
}

func (k *Kit) nextGeneration() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.memory.generation++
	return k.memory.generation
}

// drop ends the current life.
func (k *Kit) drop() {
	if k.current != nil {
		k.current.close()
		k.said = k.current.inst.output()
		k.current = nil
	}
}

// lastWords is what belongs to a failure of what the plugin wrote.
func (k *Kit) lastWords(err error) string {
	var start *startError
	switch {
	case errors.As(err, &start):
		return start.output
	case k.current != nil:
		return k.current.inst.output()
	default:
		return k.said
	}
}

// live returns a plugin that has been started, and whose routes are there.
func (k *Kit) live(ctx context.Context) (*life, error) {
	if k.current != nil {
		if k.current.broken() == nil {
			return k.current, nil
		}
		k.drop()
	}
	l, err := k.open(ctx)
	if err != nil {
		return nil, err
	}
	return l, l.populate(ctx)
}

// open returns a plugin that has been started, and makes it the current one.
func (k *Kit) open(ctx context.Context) (*life, error) {
	k.drop()
	l, err := k.configured(ctx)
	if err != nil {
		return nil, err
	}
	k.current = l
	if err := l.exchange(); err != nil {
		return nil, err
	}
	return l, l.start(ctx)
}

// configured returns a plugin that has taken the section. The caller closes it.
func (k *Kit) configured(ctx context.Context) (*life, error) {
	l, err := k.introduced(ctx)
	if err != nil {
		return nil, err
	}
	diagnostics, err := l.configure(ctx, k.target.Config)
	if err == nil {
		err = refusals(diagnostics)
	}
	if err != nil {
		l.close()
		k.said = l.inst.output()
		return nil, err
	}
	return l, nil
}

// introduced returns a plugin that has been connected to and has described
// itself. The caller closes it.
func (k *Kit) introduced(ctx context.Context) (*life, error) {
	inst, err := k.launch(ctx)
	if err != nil {
		return nil, err
	}
	l := newLife(k, inst)
	if l.manifest, err = l.describe(ctx); err != nil {
		l.close()
		k.said = inst.output()
		return nil, err
	}
	if k.manifest == nil {
		k.manifest = l.manifest
	}
	return l, nil
}

func (k *Kit) launch(ctx context.Context) (instance, error) {
	if spare := k.spare; spare != nil {
		k.spare = nil
		return spare, nil
	}
	if k.target.isProcess() {
		return launch(ctx, k.target)
	}
	return host(k.target.serve())
}

// egress is live, for a plugin that has routes.
func (k *Kit) egress(ctx context.Context) (*life, error) {
	l, err := k.live(ctx)
	if err != nil {
		return nil, err
	}
	if len(l.receivers()) > 0 {
		return l, nil
	}
	l.mu.Lock()
	gone := slices.Clone(l.ledger.gone)
	l.mu.Unlock()
	switch {
	case len(gone) > 0:
		return nil, skip("nothing can be delivered any more: the plugin has given up its route to %s with GONE; let its far side take messages, or be away, which is RETRY", listed(gone))
	case len(l.manifest.GetCommands()) > 0 && len(k.target.Commands) == 0:
		return nil, skip("nothing can be delivered: the plugin declares no receivers with this configuration; if one of its commands (%s) makes routes, give it with its data (--command NAME=JSON)", listed(l.manifest.GetCommands()))
	case len(k.target.Receivers) > 0:
		return nil, skip("nothing can be delivered: the plugin has no route to %s", listed(k.target.Receivers))
	default:
		return nil, skip("nothing can be delivered: the plugin declares no receivers with this configuration; that is right for an ingress")
	}
}
