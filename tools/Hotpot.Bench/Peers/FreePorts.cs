using System.Net;
using System.Net.Sockets;

namespace Hotpot.Bench.Peers;

/// <summary>TCP ports of the loopback interface that nobody listens on.</summary>
internal static class FreePorts
{
    /// <summary>All of them are different; each was free a moment ago.</summary>
    public static int[] Take(int count)
    {
        // All stay open until the last is found, or the kernel might give one twice.
        var listeners = new List<TcpListener>();
        try
        {
            for (var i = 0; i < count; i++)
            {
                var listener = new TcpListener(IPAddress.Loopback, 0);
                listeners.Add(listener);
                listener.Start();
            }

            return [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        }
        finally
        {
            foreach (var listener in listeners)
                listener.Dispose();
        }
    }
}
