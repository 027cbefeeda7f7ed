namespace Hotpot.Runtime.Interop;

/// <summary>
/// Calls that list: the count says how much room there is, and afterwards how much is needed; with too little room the status is
/// HP_E_LIMIT and the list is cut. It may grow between two calls, so they are repeated until the room was enough.
/// </summary>
internal static unsafe class NativeList
{
    // Most transactions touch fewer chunks than this, so one call is enough for them.
    private const uint FirstRoom = 16;

    public delegate int Fill<T>(T* first, uint* count)
        where T : unmanaged;

    public static TManaged[] Read<TNative, TManaged>(Fill<TNative> fill, Converter<TNative, TManaged> convert, string what)
        where TNative : unmanaged
    {
        uint room = FirstRoom;
        while (true)
        {
            TNative[] native = new TNative[room];
            uint count = room;
            int status;
            fixed (TNative* first = native)
                status = fill(first, &count);
            if (status == (int)HotpotStatus.Limit && count > room)
            {
                room = count;
                continue;
            }
            NativeStatus.Check(status, what);
            return Array.ConvertAll(native[..(int)count], convert);
        }
    }
}
