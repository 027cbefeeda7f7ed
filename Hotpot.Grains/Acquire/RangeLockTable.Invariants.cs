using System.Diagnostics;

namespace Hotpot.Grains.Acquire;

// The invariants at the head of RangeLockTable.cs, as code.
internal sealed partial class RangeLockTable
{
    /// <summary>All three invariants, for tests: its cost grows with the square of the table. Invariants 1 and 2 are also checked at each grant.</summary>
    internal void AssertInvariants()
    {
        for (int i = 0; i < _grants.Count; i++)
        {
            AssertCompatible(_grants[i], _grants.Take(i));
            if (_commits.Values.FirstOrDefault(commit => Conflicts(commit, _grants[i].Holder, _grants[i].Range, _grants[i].Mode)) is { } broken)
                throw new UnreachableException($"A grant conflicts with a commit under way: {_grants[i]} and {broken.Transaction}.");
        }
        for (LinkedListNode<Waiter>? node = _waiting.First; node is not null; node = node.Next)
        {
            if (!IsBlocked(node))
                throw new UnreachableException($"Something of {node.Value.Holder} waits for nothing.");
        }
    }

    private static void AssertCompatible(Grant grant, IEnumerable<Grant> others)
    {
        foreach (Grant other in others)
        {
            bool broken = other.Holder == grant.Holder
                ? other.Range.Overlaps(grant.Range)
                : Conflicts(other.Range, other.Mode, grant.Range, grant.Mode);
            if (broken)
                throw new UnreachableException($"Two grants conflict: {grant} and {other}.");
        }
    }
}
