using System.Numerics;
using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

// Finds room in a stripe, and gives it back. What is persistent is the page table, and in each page of slots the map of those in use; both are changed by the same commit as
// the block itself, so a crash neither loses nor doubles a slot. What is kept here is only where to look first, and may be wrong.
//
// Each process begins to fill pages of its own: a page that it has found to have room stays its first choice, so two nodes that insert into one
// stripe in turns rarely write to the same page.
//
// A freed slot may be used again at once, although readers without a lock may be on their way to it: its checksum becomes zero in the commit that frees it, so they find
// either the old block, which was right when they set out, or something that does not fit, and begin again.
internal sealed class StripeSpace(StripeLayout layout)
{
    // The page to try first, by class; zero: none. Written under the stripe's exclusive lock.
    private readonly int[] _first = new int[256];

    // Below it no page is free, as far as this process knows. Written under the stripe's exclusive lock.
    private int _freeFrom = layout.FirstDataPage;

    /// <exception cref="StoreFullException">There is no such room in the stripe.</exception>
    public int Allocate(StripeEdit edit, int bytes)
    {
        if (bytes > SlotClass.LargestSlotBytes)
            return AllocateRun(edit, (bytes + StripeLayout.PageBytes - 1) / StripeLayout.PageBytes);
        byte use = SlotClass.For(bytes);
        ref int first = ref _first[use];
        if (first == 0 || !HasRoom(edit, first, use))
            first = FindFree(edit, 1) is var fresh and not 0 ? Begin(edit, fresh, use) : FindWithRoom(edit, use);
        if (first == 0)
            throw Full(bytes);
        int page = first * StripeLayout.PageBytes;
        ulong used = edit.Read<ulong>(page);
        int slot = BitOperations.TrailingZeroCount(~used);
        edit.Set(page, used | 1UL << slot);
        return page + SlotClass.PageHeaderBytes + slot * SlotClass.SlotBytes(use);
    }

    public void Free(StripeEdit edit, int place)
    {
        edit.Set(place, 0UL);
        int page = place / StripeLayout.PageBytes;
        byte use = UseOf(edit, page);
        if (SlotClass.IsSlots(use))
        {
            int start = page * StripeLayout.PageBytes;
            int slot = (place - start - SlotClass.PageHeaderBytes) / SlotClass.SlotBytes(use);
            ulong used = edit.Read<ulong>(start) & ~(1UL << slot);
            edit.Set(start, used);
            if (used != 0)
            {
                _first[use] = page;
                return;
            }
            if (_first[use] == page)
                _first[use] = 0;
            SetUse(edit, page, PageUse.Free);
            _freeFrom = Math.Min(_freeFrom, page);
            return;
        }
        _freeFrom = Math.Min(_freeFrom, page);
        SetUse(edit, page, PageUse.Free);
        while (++page < layout.Pages && UseOf(edit, page) == PageUse.RunBody)
            SetUse(edit, page, PageUse.Free);
    }

    public int CapacityAt(StripeEdit edit, int place)
    {
        int page = place / StripeLayout.PageBytes;
        byte use = UseOf(edit, page);
        if (SlotClass.IsSlots(use))
            return SlotClass.SlotBytes(use);
        int pages = 1;
        while (page + pages < layout.Pages && UseOf(edit, page + pages) == PageUse.RunBody)
            pages++;
        return pages * StripeLayout.PageBytes;
    }

    private int AllocateRun(StripeEdit edit, int pages)
    {
        int first = FindFree(edit, pages);
        if (first == 0)
            throw Full((long)pages * StripeLayout.PageBytes);
        SetUse(edit, first, PageUse.RunHead);
        for (int page = first + 1; page < first + pages; page++)
            SetUse(edit, page, PageUse.RunBody);
        return first * StripeLayout.PageBytes;
    }

    /// <summary>The first of so many free pages one after the other; zero: there are none.</summary>
    private int FindFree(StripeEdit edit, int pages)
    {
        int free = 0;
        for (int page = _freeFrom; page < layout.Pages; page++)
        {
            free = UseOf(edit, page) == PageUse.Free ? free + 1 : 0;
            if (free == 1 && pages == 1)
                _freeFrom = page;
            if (free == pages)
                return page - pages + 1;
        }
        // What other nodes have freed lies below; the whole table is looked at before the stripe is called full.
        if (_freeFrom == layout.FirstDataPage)
            return 0;
        _freeFrom = layout.FirstDataPage;
        return FindFree(edit, pages);
    }

    private int Begin(StripeEdit edit, int page, byte use)
    {
        SetUse(edit, page, use);
        // Of an earlier use of the page nothing may look like a block: every slot begins with a checksum of zero.
        edit.Set(page * StripeLayout.PageBytes, 0UL);
        for (int slot = 0; slot < SlotClass.Slots(use); slot++)
            edit.Set(page * StripeLayout.PageBytes + SlotClass.PageHeaderBytes + slot * SlotClass.SlotBytes(use), 0UL);
        return page;
    }

    private int FindWithRoom(StripeEdit edit, byte use)
    {
        for (int page = layout.FirstDataPage; page < layout.Pages; page++)
        {
            if (HasRoom(edit, page, use))
                return page;
        }
        return 0;
    }

    private bool HasRoom(StripeEdit edit, int page, byte use) =>
        UseOf(edit, page) == use && edit.Read<ulong>(page * StripeLayout.PageBytes) != (1UL << SlotClass.Slots(use)) - 1;

    private static byte UseOf(StripeEdit edit, int page) => edit.Read(StripeLayout.TableOffset + page, 1)[0];

    private static void SetUse(StripeEdit edit, int page, byte use) => edit.Change(StripeLayout.TableOffset + page, 1)[0] = use;

    private StoreFullException Full(long bytes) => new(
        $"A stripe of the store has no room for {bytes} bytes more; create a larger store and copy the records, or delete some.");
}
