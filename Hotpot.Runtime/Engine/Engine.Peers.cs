using Hotpot.Runtime.Interop;

namespace Hotpot.Runtime;

public sealed unsafe partial class Engine
{
    /// <summary>Membership says that a node lives, in this incarnation, at this address. Connects in the background; idempotent.</summary>
    public void SetPeer(NodeId node, Incarnation incarnation, string fabricAddress)
    {
        HpError error = default;
        NativeStatus.Check(
            PeerInterop.Set(_handle, node.Value, incarnation.Value, fabricAddress, &error), error, $"Node {node} was not added");
    }

    /// <summary>Membership says that this incarnation is dead. Its messages are refused from now on; idempotent.</summary>
    public void RemovePeer(NodeId node, Incarnation incarnation)
    {
        int status = PeerInterop.Remove(_handle, node.Value, incarnation.Value);
        if (status != (int)HotpotStatus.NotFound)
            NativeStatus.Check(status, $"Node {node} was not removed");
    }

    /// <summary>True when the authenticated connection to the peer is up; false when it is not, or the peer is unknown.</summary>
    public bool IsPeerConnected(NodeId node) => PeerInterop.Connected(_handle, node.Value) == 1;
}
