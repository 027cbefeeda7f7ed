using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Hotpot.Bench.Peers;

namespace Hotpot.Tests.Bench;

public sealed class RespClientTests : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly RespClient _client;
    private readonly Socket _server;

    public RespClientTests()
    {
        _listener.Start();
        _client = RespClient.Connect(string.Create(CultureInfo.InvariantCulture, $"tcp:{((IPEndPoint)_listener.LocalEndpoint).Port}"));
        _server = _listener.AcceptSocket();
    }

    public void Dispose()
    {
        _client.Dispose();
        _server.Dispose();
        _listener.Dispose();
    }

    [Fact]
    public void Commands_of_one_flush_are_one_stream_of_words()
    {
        _client.Append("SET"u8, "k"u8, "v1"u8);
        _client.Begin(4);
        foreach (string word in (string[])["A", "", "ü", "12345678901"])
            _client.Argument(Encoding.UTF8.GetBytes(word));
        _client.Flush();

        const string Expected = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nv1\r\n*4\r\n$1\r\nA\r\n$0\r\n\r\n$2\r\nü\r\n$11\r\n12345678901\r\n";
        Assert.Equal(Expected, Receive(Encoding.UTF8.GetByteCount(Expected)));
    }

    [Fact]
    public void Replies_are_read_in_their_order()
    {
        Answer("+OK\r\n:-12\r\n$5\r\nab\r\nc\r\n$-1\r\n$0\r\n\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n:7\r\n");

        _client.ReadOk();
        Assert.Equal(-12, _client.ReadInteger());
        Assert.Equal("ab\r\nc"u8.ToArray(), _client.ReadBulk().ToArray());
        Assert.Empty(_client.ReadBulk().ToArray());
        Assert.Empty(_client.ReadBulk().ToArray());
        _client.Skip();
        Assert.Equal(7, _client.ReadInteger());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(100_000)]
    [InlineData(1_000_000)]
    public async Task Values_of_any_size_arrive_whole(int bytes)
    {
        byte[] value = new byte[bytes];
        new Random(1).NextBytes(value);
        Task answering = Task.Run(() =>
        {
            for (int i = 0; i < 3; i++)
            {
                _server.Send(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"${bytes}\r\n")));
                _server.Send(value);
                _server.Send("\r\n"u8);
            }
        });

        for (int i = 0; i < 3; i++)
            Assert.True(_client.ReadBulk().SequenceEqual(value));
        await answering.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task A_line_that_arrives_byte_by_byte_is_one_line()
    {
        Task answering = Task.Run(() =>
        {
            foreach (byte part in ":123456\r\n+OK\r\n"u8.ToArray())
                _server.Send([part]);
        });

        Assert.Equal(123456, _client.ReadInteger());
        _client.ReadOk();
        await answering.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Theory]
    [InlineData("-ERR no such thing\r\n", "-ERR no such thing")]
    [InlineData(":1\r\n", ":1")]
    public void Another_reply_than_expected_is_an_error_with_its_text(string reply, string text)
    {
        Answer(reply);

        IOException error = Assert.Throws<IOException>(_client.ReadOk);
        Assert.Contains(text, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_error_inside_a_skipped_array_is_not_skipped()
    {
        Answer("*2\r\n+OK\r\n-EXECABORT\r\n");

        Assert.Throws<IOException>(_client.Skip);
    }

    [Fact]
    public void A_closed_connection_is_an_error()
    {
        _server.Shutdown(SocketShutdown.Both);

        Assert.Throws<IOException>(_client.ReadOk);
    }

    private void Answer(string text) => _server.Send(Encoding.UTF8.GetBytes(text));

    private string Receive(int bytes)
    {
        byte[] received = new byte[bytes];
        for (int at = 0; at < bytes;)
        {
            int count = _server.Receive(received.AsSpan(at));
            Assert.NotEqual(0, count);
            at += count;
        }

        return Encoding.UTF8.GetString(received);
    }
}
