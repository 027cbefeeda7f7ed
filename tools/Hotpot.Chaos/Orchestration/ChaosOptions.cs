using Hotpot.Chaos.Faults;

namespace Hotpot.Chaos.Orchestration;

/// <summary>What the user may choose.</summary>
internal sealed record ChaosOptions(double Minutes, int Seed, int Nodes, Medium Medium, bool Json, bool Keep, IReadOnlyCollection<FaultKind> Only);
